package interop

import (
	"slices"
	"testing"

	"github.com/seed51309289/quiver/interop/backend"
)

func testValues() *values {
	return &values{
		bin: "/cache/bin", self: "/bin/quiver", requests: []string{"https://server4:443/a", "https://server4:443/b"},
		places: backend.Places{Listen: ":443", Certs: "/certs", WWW: "/www", Downloads: "/downloads", Logs: "/logs", QLog: "/logs/qlog/"},
	}
}

func TestEnvironmentIsExactlyThatOfTheSpecification(t *testing.T) {
	params := Parameters{ClientParams: "for the client", ServerParams: "for the server", Cron: "true"}
	client := endpointEnv(RoleClient, "transfer", testValues(), params, nil)
	wantClient := []string{
		"ROLE=client", "TESTCASE=transfer", "REQUESTS=https://server4:443/a https://server4:443/b", "PROTOCOLS=",
		"SSLKEYLOGFILE=/logs/keys.log", "QLOGDIR=/logs/qlog/", "CLIENT_PARAMS=for the client", "CRON=true",
	}
	if !slices.Equal(client, wantClient) {
		t.Errorf("client environment = %q, want %q", client, wantClient)
	}
	v := testValues()
	v.requests = nil
	server := endpointEnv(RoleServer, "retry", v, Parameters{}, nil)
	wantServer := []string{
		"ROLE=server", "TESTCASE=retry", "REQUESTS=", "PROTOCOLS=",
		"SSLKEYLOGFILE=/logs/keys.log", "QLOGDIR=/logs/qlog/", "SERVER_PARAMS=", "CRON=",
	}
	if !slices.Equal(server, wantServer) {
		t.Errorf("server environment = %q, want %q", server, wantServer)
	}
}

func TestRegistryEntryAddsToTheEnvironment(t *testing.T) {
	env := endpointEnv(RoleServer, "x", testValues(), Parameters{}, map[string]string{"WWW": "{www}", "A": "1"})
	if got := env[len(env)-2:]; !slices.Equal(got, []string{"A=1", "WWW=/www"}) {
		t.Errorf("added variables = %q, want A=1 and WWW=/www", got)
	}
}

func TestPlaceholdersBecomeArguments(t *testing.T) {
	c := &Command{Run: []string{"{bin}", "-listen", "{listen}", "-cert={certs}/cert.pem", "{requests}", "{self}", "{www}{downloads}{logs}{qlog}"}}
	want := []string{
		"/cache/bin", "-listen", ":443", "-cert=/certs/cert.pem", "https://server4:443/a", "https://server4:443/b", "/bin/quiver",
		"/www/downloads/logs/logs/qlog/",
	}
	if got := c.argv(testValues()); !slices.Equal(got, want) {
		t.Errorf("argv = %q, want %q", got, want)
	}
}

func TestDefaultProgramsGetTheFixedPathsOfTheContainers(t *testing.T) {
	r := DefaultRegistry()
	argv := func(name, role string) []string {
		c, err := r.Lookup(name).command("netns", role)
		if err != nil {
			t.Fatal(err)
		}
		return c.argv(testValues())
	}
	for _, tt := range []struct {
		name, role string
		want       []string
	}{
		{"quiver", RoleServer, []string{"/bin/quiver", "interop", "endpoint", "--listen", ":443", "--www", "/www", "--certs", "/certs"}},
		{"quiver", RoleClient, []string{"/bin/quiver", "interop", "endpoint", "--downloads", "/downloads", "--certs", "/certs"}},
		{"quic-go", RoleClient, []string{"/cache/bin", "https://server4:443/a", "https://server4:443/b"}},
		{"quic-go", RoleServer, []string{"/cache/bin"}},
		{"go-x-net", RoleClient, []string{"/cache/bin", "-output", "/downloads", "-qlog", "/logs/qlog/", "https://server4:443/a", "https://server4:443/b"}},
		{"go-x-net", RoleServer, []string{
			"/cache/bin", "-listen", ":443", "-cert", "/certs/cert.pem", "-key", "/certs/priv.key", "-root", "/www", "-qlog", "/logs/qlog/",
		}},
	} {
		if got := argv(tt.name, tt.role); !slices.Equal(got, tt.want) {
			t.Errorf("%s as %s = %q, want %q", tt.name, tt.role, got, tt.want)
		}
	}
}
