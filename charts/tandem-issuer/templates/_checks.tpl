{{/* Seconds of a duration such as 1h30m. */}}
{{- define "tandem-issuer.seconds" -}}
{{- $units := dict "ns" 0.000000001 "us" 0.000001 "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9.]+(ns|us|ms|s|m|h)" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{/* What the schema cannot say of the values, or says in a way that helps nobody: contradictions, and common mistakes. */}}
{{- define "tandem-issuer.check" -}}
{{- with .Values.image.repository -}}
{{- if not (regexMatch "^[^:@\\s]+(:[0-9]+/[^:@\\s]+)?$" .) -}}
{{- fail (printf "image.repository: %q has more than registry and name: the tag goes into image.tag, the digest into image.digest" .) -}}
{{- end -}}
{{- end -}}

{{- range $name, $value := .Values.leaderElection -}}
{{- if not (regexMatch "^[1-9][0-9]*s$" (toString $value)) -}}
{{- fail (printf "leaderElection.%s: %v is not a number of seconds with its unit, such as 60s" $name $value) -}}
{{- end -}}
{{- if or (gt (len $value) 5) (gt (trimSuffix "s" $value | int) 3600) -}}
{{- fail (printf "leaderElection.%s: %s is more than an hour (3600s), the longest that a lease may last" $name $value) -}}
{{- end -}}
{{- end -}}
{{- with .Values.leaderElection -}}
{{- if not (and (lt (trimSuffix "s" .retryPeriod | int) (trimSuffix "s" .renewDeadline | int)) (lt (trimSuffix "s" .renewDeadline | int) (trimSuffix "s" .leaseDuration | int))) -}}
{{- fail "leaderElection: retryPeriod has to be less than renewDeadline, and that less than leaseDuration" -}}
{{- end -}}
{{- end -}}

{{- range splitList "," .Values.logLevel -}}
{{- if not (regexMatch "^([A-Za-z0-9_:-]+=)?(?i:off|error|warn|info|debug|trace)$" (trim .)) -}}
{{- fail (printf "logLevel: %q is neither off, error, warn, info, debug or trace, nor one of these for a part of the program, such as kube=debug" .) -}}
{{- end -}}
{{- end -}}

{{- $values := dict "namespace" "scope.namespaces" "cluster-resource-namespace" "clusterResourceNamespace" "admin-address" "admin.port" "admin-tls-cert" "admin.tls.secretName" "admin-tls-key" "admin.tls.secretName" "leader-elect" "the chart itself: replicas elect a leader, also one alone" "leader-election-namespace" "the release's namespace" "leader-election-lease-duration" "leaderElection.leaseDuration" "leader-election-renew-deadline" "leaderElection.renewDeadline" "leader-election-retry-period" "leaderElection.retryPeriod" "otlp-endpoint" "tracing.endpoint" "otlp-certificate" "tracing.caConfigMap" "log-format" "logFormat" -}}
{{- range .Values.extraArgs -}}
{{/* As the program reads them: --namespace=shop, or with the value as the next one, or -nshop. */}}
{{- $name := regexFind "^--[^=\\s]+" . | trimPrefix "--" -}}
{{- if hasPrefix "-n" . -}}
{{- $name = "namespace" -}}
{{- end -}}
{{- with get $values $name -}}
{{- fail (printf "extraArgs: --%s is given by the chart: it follows from %s" $name .) -}}
{{- end -}}
{{- end -}}

{{- $variables := dict "RUST_LOG" "logLevel" "CLUSTER_RESOURCE_NAMESPACE" "clusterResourceNamespace" "OTEL_EXPORTER_OTLP_ENDPOINT" "tracing.endpoint" "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" "tracing.endpoint" "OTEL_EXPORTER_OTLP_CERTIFICATE" "tracing.caConfigMap" "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE" "tracing.caConfigMap" -}}
{{- range .Values.extraEnv -}}
{{- $name := .name -}}
{{- with get $variables $name -}}
{{- fail (printf "extraEnv: %s is given by the chart: it follows from %s" $name .) -}}
{{- end -}}
{{- end -}}

{{- if .Values.scope.namespaces -}}
{{- if or .Values.secretNamespaces .Values.clusterResourceNamespace -}}
{{- fail "scope.namespaces: these are the namespaces whose Secrets are read; leave out secretNamespaces and clusterResourceNamespace" -}}
{{- end -}}
{{- end -}}

{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name: which one is there? Without a name it would be the namespace's `default`, and other pods would read the CA Secrets" -}}
{{- end -}}

{{- with .Values.prometheus -}}
{{- if and .servicemonitor.enabled .podmonitor.enabled -}}
{{- fail "prometheus: servicemonitor and podmonitor would count everything twice; enable one of them" -}}
{{- end -}}
{{- if and .servicemonitor.enabled (not .enabled) -}}
{{- fail "prometheus.servicemonitor: it finds the Service of prometheus.enabled, which is false" -}}
{{- end -}}
{{- range $name, $monitor := dict "servicemonitor" .servicemonitor "podmonitor" .podmonitor -}}
{{- if gt (include "tandem-issuer.seconds" $monitor.scrapeTimeout | float64) (include "tandem-issuer.seconds" $monitor.interval | float64) -}}
{{- fail (printf "prometheus.%s: scrapeTimeout (%s) is longer than interval (%s)" $name $monitor.scrapeTimeout $monitor.interval) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- with .Values.firstIssuer -}}
{{- if .enabled -}}
{{- if $.Values.scope.namespaces -}}
{{- fail "firstIssuer makes a TandemClusterIssuer, which scope.namespaces leaves out: make a TandemIssuer in one of these namespaces instead" -}}
{{- end -}}
{{- if ge (include "tandem-issuer.seconds" .renewBefore | float64) (include "tandem-issuer.seconds" .duration | float64) -}}
{{- fail (printf "firstIssuer: renewBefore (%s) is not less than duration (%s)" .renewBefore .duration) -}}
{{- end -}}
{{- if and $.Values.rbac.secretNames (not (has .name $.Values.rbac.secretNames)) -}}
{{- fail (printf "rbac.secretNames: the first issuer's CA Secret %s is not among them" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Roles in namespaces that are missing would fail in the middle. Without a cluster, as in `helm template`, none is found. */}}
{{- if .Values.rbac.create -}}
{{- $found := list -}}
{{- $missing := list -}}
{{- $named := concat .Values.scope.namespaces .Values.secretNamespaces (compact (list .Values.clusterResourceNamespace)) | uniq -}}
{{- range without $named .Release.Namespace -}}
{{- if lookup "v1" "Namespace" "" . -}}
{{- $found = append $found . -}}
{{- else -}}
{{- $missing = append $missing . -}}
{{- end -}}
{{- end -}}
{{- if and $missing (or $found (lookup "v1" "Namespace" "" .Release.Namespace)) -}}
{{- fail (printf "scope.namespaces, secretNamespaces, clusterResourceNamespace: there is no namespace %s" (join ", " $missing)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
