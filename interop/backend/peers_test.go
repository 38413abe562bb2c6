package backend

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/interop/certs"
	"github.com/seed51309289/quiver/peers"
)

// realPeers are the programs of others, as their own containers would start them.
var realPeers = []struct {
	name           string
	server, client string // packages
	serverArgs     []string
	clientArgs     []string
}{
	{
		name:   "quic-go",
		server: "github.com/quic-go/quic-go/interop/server@v0.65.0",
		client: "github.com/quic-go/quic-go/interop/client@v0.65.0",
	},
	{
		name:       "go-x-net",
		server:     "golang.org/x/net/internal/quic/cmd/interop@v0.62.0",
		client:     "golang.org/x/net/internal/quic/cmd/interop@v0.62.0",
		serverArgs: []string{"-listen", ":443", "-cert", "/certs/cert.pem", "-key", "/certs/priv.key", "-root", "/www", "-qlog", "/logs/qlog"},
		clientArgs: []string{"-output", "/downloads", "-qlog", "/logs/qlog"},
	},
}

// TestRealPeersTransferAFile runs foreign clients against foreign servers, both ways round.
func TestRealPeersTransferAFile(t *testing.T) {
	if os.Getenv("QUIVER_PEERS") != "1" || testing.Short() {
		t.Skip("builds foreign programs through the module proxy: set QUIVER_PEERS=1 to run it")
	}
	b := pick(t, "netns")
	content := make([]byte, 1<<20)
	rand.Read(content)
	for _, server := range realPeers {
		for _, client := range realPeers {
			t.Run(server.name+"_"+client.name, func(t *testing.T) {
				j := testJob(t, b, "", "")
				os.Remove(j.Certs + "/cert.pem")
				if err := certs.Generate(j.Certs, 1, time.Now(), nil); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(j.WWW+"/banana", content, 0o644); err != nil {
					t.Fatal(err)
				}
				env := []string{"TESTCASE=transfer", "SSLKEYLOGFILE=/logs/keys.log", "QLOGDIR=/logs/qlog/"}
				j.Server = Program{Name: server.name, Env: append(env, "ROLE=server"), Argv: append([]string{install(t, server.server)}, server.serverArgs...)}
				j.Client = Program{Name: client.name, Env: append(env, "ROLE=client"),
					Argv: append(append([]string{install(t, client.client)}, client.clientArgs...), "https://server4:443/banana")}
				var log bytes.Buffer
				out := b.Run(t.Context(), j, &log)
				got, err := os.ReadFile(filepath.Join(j.Downloads, "banana"))
				if out.Err != nil || out.Client.Code != 0 || err != nil || !bytes.Equal(got, content) {
					t.Fatalf("outcome %+v, %d bytes, %v\n%s", out, len(got), err, &log)
				}
				t.Logf("%v for the job; the simulator was at most %v late", out.Duration, out.Sim.Lateness.Max)
				if keys, _ := os.ReadFile(filepath.Join(j.Dir, "client", "keys.log")); !strings.Contains(string(keys), "SERVER_HANDSHAKE_TRAFFIC_SECRET") {
					t.Errorf("key log of the client: %q", keys)
				}
				for role, p := range map[string]Program{Client: j.Client, Server: j.Server} {
					p.Env = append(p.Env, "TESTCASE=sloth")[1:]
					if exit, err := b.Compliance(t.Context(), role, p, io.Discard); err != nil || exit.Code != 127 {
						t.Errorf("%s refuses an unknown case with %v, %v", role, exit, err)
					}
				}
			})
		}
	}
}

// TestQuicGoRunsOnLoopback runs our endpoint on the quic-go library where the endpoint of its own project cannot run.
func TestQuicGoRunsOnLoopback(t *testing.T) {
	if os.Getenv("QUIVER_PEERS") != "1" || testing.Short() {
		t.Skip("builds a foreign library through the module proxy: set QUIVER_PEERS=1 to run it")
	}
	b := pick(t, "loopback")
	binary := install(t, "embedded:quicgo")
	for _, testcase := range []string{"handshake", "transfer", "retry"} {
		j := testJob(t, b, "", "")
		os.Remove(j.Certs + "/cert.pem")
		if err := certs.Generate(j.Certs, 1, time.Now(), nil); err != nil {
			t.Fatal(err)
		}
		server, _ := b.Places(j, Server)
		client, _ := b.Places(j, Client)
		j.Server = Program{Name: "quic-go", Env: []string{"TESTCASE=" + testcase, "QLOGDIR=" + server.QLog},
			Argv: []string{binary, "server", "-listen", server.Listen, "-certs", server.Certs, "-www", server.WWW}}
		j.Client = Program{Name: "quic-go", Env: []string{"TESTCASE=" + testcase, "SSLKEYLOGFILE=" + client.Logs + "/keys.log"},
			Argv: []string{binary, "client", "-downloads", client.Downloads, "https://" + client.Authority("server4") + "/file"}}
		var log bytes.Buffer
		out := b.Run(t.Context(), j, &log)
		got, err := os.ReadFile(filepath.Join(j.Downloads, "file"))
		if out.Err != nil || out.Client.Code != 0 || err != nil || string(got) != "content" {
			t.Errorf("%s: outcome %+v, %q, %v\n%s", testcase, out, got, err, &log)
		}
		if keys, _ := os.ReadFile(filepath.Join(j.Dir, "client", "keys.log")); !strings.Contains(string(keys), "SERVER_HANDSHAKE_TRAFFIC_SECRET") {
			t.Errorf("%s: key log of the client: %q", testcase, keys)
		}
	}
}

func install(t *testing.T, peer string) string {
	t.Helper()
	path, err := peers.Install(t.Context(), peer, os.Getenv("QUIVER_PEERS_CACHE"), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
