{{/* Here and everywhere: what the values or the user name is written by toYaml, which quotes what would be a number or a switch
otherwise, such as the namespace 123. */}}
{{- define "tandem-issuer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects. */}}
{{- define "tandem-issuer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "tandem-issuer.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tandem-issuer.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "tandem-issuer.fullname" .) -}}
{{- end -}}

{{- define "tandem-issuer.clusterResourceNamespace" -}}
{{- .Values.clusterResourceNamespace | default .Release.Namespace -}}
{{- end -}}

{{- define "tandem-issuer.image" -}}
{{- .Values.image.repository -}}
{{- if or .Values.image.tag (not .Values.image.digest) }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* What selects the pods, and never changes. */}}
{{- define "tandem-issuer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tandem-issuer.name" . | toYaml }}
app.kubernetes.io/instance: {{ .Release.Name | toYaml }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "tandem-issuer.labels" -}}
{{- include "tandem-issuer.labelsWith" (dict "root" . "more" dict) -}}
{{- end -}}

{{/* Those of an object that is given more: (dict "root" $ "more" …). The chart's own are not replaced, for objects are selected by them. */}}
{{- define "tandem-issuer.labelsWith" -}}
{{- $labels := include "tandem-issuer.selectorLabels" .root | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- if eq .root.Values.creator "helm" -}}
{{- $_ = set $labels "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ = set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- end -}}
{{- toYaml (merge $labels (.more | default dict) (.root.Values.commonLabels | default dict)) -}}
{{- end -}}

{{- define "tandem-issuer.scheme" -}}
{{- ternary "HTTPS" "HTTP" (not (empty .Values.admin.tls.secretName)) -}}
{{- end -}}

{{/* A Role or ClusterRole of the issuer is given to its ServiceAccount: (dict "root" $ "kind" … "name" … "namespace" …). */}}
{{- define "tandem-issuer.binding" -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ .kind }}Binding
metadata:
  name: {{ .name | toYaml }}
  {{- with .namespace }}
  namespace: {{ . | toYaml }}
  {{- end }}
  labels:
    {{- include "tandem-issuer.labels" .root | nindent 4 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name | toYaml }}
subjects:
- kind: ServiceAccount
  name: {{ include "tandem-issuer.serviceAccountName" .root | toYaml }}
  namespace: {{ .root.Release.Namespace | toYaml }}
{{- end -}}

{{/* What is done with objects of a namespace: the same in a ClusterRole and in a Role. */}}
{{- define "tandem-issuer.namespacedRules" -}}
- apiGroups: [pki.tandem.internal]
  resources: [tandemissuers]
  verbs: [list, watch]
- apiGroups: [pki.tandem.internal]
  resources: [tandemissuers/status]
  verbs: [patch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [list, watch]
- apiGroups: [cert-manager.io]
  resources: [certificaterequests/status]
  verbs: [patch]
# The labels of the request's namespace, for policies that select by them.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* CA Secrets: each one that an issuer names is watched by its name. */}}
{{- define "tandem-issuer.secretRules" -}}
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.rbac.secretNames }}
  resourceNames: {{ uniq . | toJson }}
  {{- end }}
  verbs: [list, watch]
{{- end -}}
