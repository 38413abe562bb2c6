package endpoint

import (
	"path/filepath"
	"strings"
)

// Env is what the interop runner tells an endpoint.
type Env struct {
	Role     string // "client" or "server"
	TestCase string
	Requests []string // URLs, for the client
	Plugins  []string // that come with quiver, for every connection

	KeyLog  string // file for TLS secrets; "" = none
	QLogDir string // "" = none

	Listen    string // "host:port" of the server
	WWW       string // directory with the files to serve
	Downloads string // directory for the files fetched
	Certs     string // directory with cert.pem, priv.key and ca.pem
}

// FromEnviron reads an environment of "K=V" strings. Directories and the
// listening address have the values that all containers share.
func FromEnviron(environ []string) Env {
	vars := map[string]string{}
	for _, kv := range environ {
		k, v, _ := strings.Cut(kv, "=")
		vars[k] = v
	}
	return Env{
		Role:     vars["ROLE"],
		TestCase: vars["TESTCASE"],
		Requests: strings.Fields(vars["REQUESTS"]),
		Plugins:  strings.Fields(vars["QUIVER_PLUGINS"]),
		KeyLog:   vars["SSLKEYLOGFILE"],
		QLogDir:  vars["QLOGDIR"],
		Listen:   ":443", WWW: "/www", Downloads: "/downloads", Certs: "/certs",
	}
}

func (e *Env) cert(name string) string { return filepath.Join(e.Certs, name) }
