package interop

import (
	"maps"
	"slices"
	"strings"
)

// Parameters are the variables that a user may hand through to the endpoints. The zero value hands through empty ones.
type Parameters struct {
	ClientParams, ServerParams, Cron string
}

// endpointEnv returns the environment of one endpoint as K=V, exactly the variables that an endpoint of the interop runner
// finds, plus those that its registry entry adds.
func endpointEnv(role, testcase string, v *values, params Parameters, extra map[string]string) []string {
	passThrough := "SERVER_PARAMS=" + params.ServerParams
	if role == RoleClient {
		passThrough = "CLIENT_PARAMS=" + params.ClientParams
	}
	env := []string{
		"ROLE=" + role,
		"TESTCASE=" + testcase,
		"REQUESTS=" + strings.Join(v.requests, " "),
		"PROTOCOLS=",
		"SSLKEYLOGFILE=" + v.places.Logs + "/keys.log",
		"QLOGDIR=" + v.places.QLog,
		passThrough,
		"CRON=" + params.Cron,
	}
	for _, k := range slices.Sorted(maps.Keys(extra)) {
		env = append(env, k+"="+v.fill(extra[k]))
	}
	return env
}

// requestURLs returns the URL of each file as the client is told, or that of the root when there is none; authority is
// that of the backend.
func requestURLs(authority string, names []string) []string {
	if len(names) == 0 {
		names = []string{""}
	}
	urls := make([]string, len(names))
	for i, n := range names {
		urls[i] = "https://" + authority + "/" + n
	}
	return urls
}
