{{/* The TCP ports of outgoing connections, in ascending order and separated by spaces; a * where all ports are allowed. */}}
{{- define "gmail-exporter.egressPorts" -}}
{{- $found := dict -}}
{{- range .Values.networkPolicy.egressPorts -}}
{{- $_ := set $found (printf "%05d" (int .)) "" -}}
{{- end -}}
{{- if .Values.networkPolicy.egressFromConfig -}}
{{- range include "gmail-exporter.configPorts" . | splitList " " | compact -}}
{{- $_ := set $found (printf "%05s" .) "" -}}
{{- end -}}
{{- end -}}
{{- range $index, $port := keys $found | sortAlpha -}}
{{- if $index }} {{ end }}{{ regexReplaceAll "^0+" $port "" }}
{{- end -}}
{{- end -}}

{{/* Those that the configuration names, as it has them. The program knows the same defaults: exporter/model/settings.py. */}}
{{- define "gmail-exporter.configPorts" -}}
{{- $registered := dict
  "imap/tls" 993 "imap/starttls" 143 "imap/none" 143
  "pop3/tls" 995 "pop3/starttls" 110 "pop3/none" 110
  "smtp/tls" 465 "smtp/starttls" 587 "smtp/none" 25 -}}
{{- $pattern := "^(?:\\[[^]]*\\]|[^]\\[:]*):([0-9]+|[*])$" -}}
{{- $google := not (or .Values.config (include "gmail-exporter.unknownConfig" .)) -}}
{{- if $google }} 993 995 465 587 {{ end -}}
{{- range $section := list "endpoints" "modules" -}}
{{- range $name, $one := index $.Values.config $section -}}
{{- $service := printf "%v/%v" $one.protocol (default "tls" $one.security) -}}
{{- $port := default (ternary 25 (index $registered $service) (not (empty $one.domain))) $one.port -}}
{{- /* The policies of a domain are fetched over HTTPS. */ -}}
{{- if $one.domain }} 443 {{ end -}}
{{- if not $port -}}
{{- fail (printf "networkPolicy: config.%s.%s: no port is known for %s: name it in `port`" $section $name $service) -}}
{{- end }} {{ int $port }} {{ range $one.allow_hosts -}}
{{- if regexMatch $pattern . }} {{ regexReplaceAll $pattern . "${1}" }} {{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range .Values.config.endpoints -}}
{{- if regexMatch "(?i)(^|[.])(gmail|googlemail|google|googleapis)[.]com[.]?$" (toString .host) -}}
{{- $google = true -}}
{{- end -}}
{{- end -}}
{{- range dig "verdict" "controls" (dict "web" (dict "kind" "provider_web" "port" 443)) .Values.config -}}
{{- if ne .kind "provider_web" }} {{ int .port }} {{ else if $google }} 80 {{ int .port }} {{ end -}}
{{- end -}}
{{- if and $google (ne "none" (dig "verdict" "status" "provider" "google" .Values.config)) }} 443 {{ end -}}
{{- range dig "probe" "allow" list .Values.config -}}
{{- if regexMatch $pattern . }} {{ regexReplaceAll $pattern . "${1}" }} {{ end -}}
{{- end -}}
{{- range .Values.config.accounts -}}
{{- if or .oauth2 .service_account -}}
{{- $server := regexFind "^https://[^/?]*" (dig "token_uri" "" (default dict .oauth2)) | trimPrefix "https://" }} {{ if regexMatch $pattern $server }}{{ regexReplaceAll $pattern $server "${1}" }}{{ else }}443{{ end }} {{ end -}}
{{- end -}}
{{- end -}}

{{/* Those of the resolvers for a second opinion, where it is not 53. */}}
{{- define "gmail-exporter.resolverPorts" -}}
{{- if .Values.networkPolicy.egressFromConfig -}}
{{- range dig "verdict" "resolvers" list .Values.config | uniq -}}
{{- if regexMatch "^(?:[^:]*|\\[[^]]*\\]):[0-9]+$" . }} {{ regexFind "[0-9]+$" . }} {{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Not empty where the configuration is not in the values. */}}
{{- define "gmail-exporter.unknownConfig" -}}
{{- or .Values.existingConfigMap (regexFind "(^| )--config[.]file" (join " " .Values.extraArgs)) -}}
{{- end -}}
