{{/* The names and labels that every object shares. */}}

{{- define "gmail-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* If the release has the chart's name, the name is not repeated. */}}
{{- define "gmail-exporter.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains (include "gmail-exporter.name" .) .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "gmail-exporter.name" .) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the pods: they can never change. The first one becomes the job in Prometheus, whatever the
name of the release: the alerts select exporters by it. */}}
{{- define "gmail-exporter.selector" -}}
app.kubernetes.io/name: gmail-exporter
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "gmail-exporter.labels" -}}
{{ include "gmail-exporter.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "gmail-exporter.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "gmail-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "gmail-exporter.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The name of the ConfigMap with the configuration; empty if the built-in one is used. */}}
{{- define "gmail-exporter.configMap" -}}
{{- if .Values.existingConfigMap -}}
{{- .Values.existingConfigMap -}}
{{- else if .Values.config -}}
{{- include "gmail-exporter.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* What stands in front of every path, without a slash at its end: the path of externalUrl. */}}
{{- define "gmail-exporter.prefix" -}}
{{- with (urlParse .Values.externalUrl).path | trimAll "/" -}}
{{- printf "/%s" . -}}
{{- end -}}
{{- end -}}

{{/* Mistakes that a schema cannot report in clear words. */}}
{{- define "gmail-exporter.check" -}}
{{- if and .Values.serviceMonitor.enabled .Values.podMonitor.enabled -}}
{{- fail "serviceMonitor and podMonitor are both enabled: everything would be scraped twice; choose one" -}}
{{- end -}}
{{- if and .Values.storage.existingClaim (gt (int .Values.shards) 1) -}}
{{- fail "storage.existingClaim is one claim, and each of several shards needs its own: leave it out" -}}
{{- end -}}
{{- if and .Values.config .Values.existingConfigMap -}}
{{- fail "config and existingConfigMap are both given: only one can be what runs; choose one" -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if and .enabled .egressFromConfig (include "gmail-exporter.unknownConfig" $) (not .egressPorts) -}}
{{- fail "networkPolicy: the chart does not know the ports of your own configuration file: list those of its endpoints, modules and token servers in networkPolicy.egressPorts" -}}
{{- end -}}
{{- end -}}
{{- /* Some ways of copying lose symbolic links. */ -}}
{{- if and .Values.prometheusRule.enabled (not (.Files.Glob "files/prometheus/gmail-*.yml")) -}}
{{- fail "this copy of the chart holds no rules in files/: install it from a checkout, or from a package made there" -}}
{{- end -}}
{{- if and .Values.dashboard.enabled (not (.Files.Glob "files/grafana/*.json")) -}}
{{- fail "this copy of the chart holds no dashboard in files/: install it from a checkout, or from a package made there" -}}
{{- end -}}
{{- end -}}
