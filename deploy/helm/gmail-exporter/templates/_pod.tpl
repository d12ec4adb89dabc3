{{/* The pod template, for every kind of object that creates pods. It satisfies the Pod Security Standard "restricted". */}}
{{- define "gmail-exporter.pod" -}}
metadata:
  labels:
    {{- include "gmail-exporter.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # A changed configuration replaces the pod.
    checksum/config: {{ toJson .Values.config | sha256sum | quote }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "gmail-exporter.serviceAccount" . }}
  automountServiceAccountToken: false
  # No variables with the addresses of all Services in the namespace: nothing here reads them.
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    # Owns the volume of the login budget, and may read the Secrets.
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  terminationGracePeriodSeconds: 15
  containers:
    - name: gmail-exporter
      image: {{ include "gmail-exporter.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "gmail-exporter.args" . | nindent 8 }}
      {{- if or .Values.extraEnv (gt (int .Values.shards) 1) }}
      env:
        {{- if gt (int .Values.shards) 1 }}
        - name: SHARD
          valueFrom:
            fieldRef:
              fieldPath: metadata.labels['apps.kubernetes.io/pod-index']
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- end }}
      ports:
        - name: http
          containerPort: 9993
          protocol: TCP
      {{- include "gmail-exporter.probes" . | nindent 6 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "gmail-exporter.volumeMounts" . | nindent 8 }}
  volumes:
    {{- include "gmail-exporter.volumes" . | nindent 4 }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- $selector := dict "labelSelector" (dict "matchLabels" (include "gmail-exporter.selector" $ | fromYaml)) }}
    {{- range . }}
    - {{ merge (dict) . $selector | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "gmail-exporter.args" -}}
- --web.listen-address=:9993
{{- if gt (int .Values.shards) 1 }}
- --shard=$(SHARD)/{{ .Values.shards }}
{{- end }}
- --log.level={{ .Values.log.level }}
- --log.format={{ .Values.log.format }}
{{- if include "gmail-exporter.configMap" . }}
- --config.file=/etc/gmail-exporter/config/gmail.yml
{{- end }}
{{- if .Values.webConfigSecret }}
- --web.config.file=/etc/gmail-exporter/web/web.yml
{{- end }}
{{- with .Values.externalUrl }}
- {{ printf "--web.external-url=%s" . | quote }}
{{- end }}
{{- /* The names of the Service: its pages are asked for by them, as by an Ingress or another pod. */}}
{{- $service := include "gmail-exporter.fullname" . }}
{{- $namespace := .Release.Namespace }}
{{- range concat (list $service (printf "%s.%s" $service $namespace) (printf "%s.%s.svc" $service $namespace) (printf "%s.%s.svc.cluster.local" $service $namespace)) .Values.allowedHosts }}
- {{ printf "--web.allowed-host=%s" . | quote }}
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end -}}

{{/* Kubernetes can neither log in nor present a certificate: if the pages need that, the image's own check is used. */}}
{{- define "gmail-exporter.probes" -}}
{{- $command := dict "exec" (dict "command" (list "python" "-m" "exporter.healthcheck")) "timeoutSeconds" 5 -}}
{{- $prefix := include "gmail-exporter.prefix" . -}}
{{- $healthy := dict "httpGet" (dict "path" (printf "%s/-/healthy" $prefix) "port" "http") "timeoutSeconds" 5 -}}
{{- $ready := dict "httpGet" (dict "path" (printf "%s%s" $prefix .Values.readinessProbe.path) "port" "http") "timeoutSeconds" 5 -}}
{{- if .Values.webConfigSecret -}}
{{- $healthy = $command -}}
{{- $ready = $command -}}
{{- end -}}
startupProbe:
  {{- toYaml $healthy | nindent 2 }}
  periodSeconds: 1
  failureThreshold: 30
livenessProbe:
  {{- toYaml $healthy | nindent 2 }}
  periodSeconds: {{ .Values.livenessProbe.periodSeconds }}
  failureThreshold: {{ .Values.livenessProbe.failureThreshold }}
readinessProbe:
  {{- toYaml $ready | nindent 2 }}
  periodSeconds: {{ .Values.readinessProbe.periodSeconds }}
{{- end -}}

{{- define "gmail-exporter.volumeMounts" -}}
- name: storage
  mountPath: /var/lib/gmail-exporter
{{- if include "gmail-exporter.configMap" . }}
- name: config
  mountPath: /etc/gmail-exporter/config
  readOnly: true
{{- end }}
{{- if .Values.webConfigSecret }}
- name: web
  mountPath: /etc/gmail-exporter/web
  readOnly: true
{{- end }}
{{- range $number, $name := .Values.secrets }}
- name: secret-{{ $number }}
  mountPath: /run/secrets/{{ $name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "gmail-exporter.volumes" -}}
{{- if ne .Values.storage.type "persistentVolumeClaim" }}
- name: storage
  emptyDir:
    sizeLimit: 64Mi
{{- else if eq (int .Values.shards) 1 }}
- name: storage
  persistentVolumeClaim:
    claimName: {{ default (include "gmail-exporter.fullname" .) .Values.storage.existingClaim }}
{{- end }}
{{- with include "gmail-exporter.configMap" . }}
- name: config
  configMap:
    name: {{ . }}
{{- end }}
{{- with .Values.webConfigSecret }}
- name: web
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- range $number, $name := .Values.secrets }}
- name: secret-{{ $number }}
  secret:
    secretName: {{ $name }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
