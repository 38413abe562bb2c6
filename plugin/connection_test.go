package plugin

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/quictest"
	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/seed51309289/quiver/plugin/wat"
	"github.com/seed51309289/quiver/quic"
)

// echoes is a plugin with a frame: whoever is told to sends "ping", and tells its application of all that comes.
const echoes = `(module
  (import "pq" "reserve" (func $reserve (param i32 i32 i32) (result i64)))
  (import "pq" "emit" (func $emit (param i32 i32 i32) (result i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 16384) "ping")
  (func (export "pq_abi") (result i32) i32.const 0x10000)
  (func (export "pq_ctx") (result i32) i32.const 4096)
  (func (export "pq_buf") (param i32) (result i64)
    (if (result i64) (local.get 0) (then (i64.const 0x0000400000001000)) (else (i64.const 0x0000200000001000))))
  (func (export "pq_call") (param $op i32) (param $arg i32) (result i64)
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (i64.store offset=6152 (i32.const 0) (i64.const 0x180000000))))
    (if (i32.eq (local.get $op) (i32.const 5)) (then (return (i64.shr_u (call $reserve (i32.const 0) (i32.const 4) (i32.const 1)) (i64.const 32)))))
    (if (i32.eq (local.get $op) (i32.const 31))
      (then (drop (call $emit (i32.const 9) (i32.load offset=4128 (i32.const 0)) (i32.load offset=4132 (i32.const 0))))))
    (if (i32.eq (local.get $op) (i32.const 32))
      (then (i32.store (i32.const 16384) (i32.const 0x676e6970)) (return (i64.const 4))))
    (i64.const 0)))`

const echoesManifest = `{"id": "org.example.echoes", "version": "1.0.0", "abi": {"min": "1.0", "max": "1.0"}, "roles": ["client", "server"], "mode": "MODE",
  "hooks": [{"op": "app_call", "anchor": "replace"}, {"op": "frame_process", "anchor": "replace"}, {"op": "frame_write", "anchor": "replace"}],
  "frames": [{"name": "echo", "max_len": 100, "ack_eliciting": true, "in_flight": true}],
  "permissions": ["reserve", "emit"], "app_ops": [{"id": 1, "name": "ping"}]}`

func echoesFile(t *testing.T, mode string) (file []byte, trust *pack.Trust) {
	t.Helper()
	module, err := wat.Assemble("echoes", []byte(echoes))
	if err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest("echoes", []byte(strings.Replace(echoesManifest, "MODE", mode, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if file, err = pack.Seal(module, m, nil); err != nil {
		t.Fatal(err)
	}
	return file, pin(t, file)
}

// pin trusts one file.
func pin(t *testing.T, file []byte) *pack.Trust {
	t.Helper()
	k, err := pack.Read("pinned", file, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &pack.Trust{Pins: []pack.Pin{{Digest: k.Digest, Ceiling: pack.Ceiling{Permissions: k.Manifest.Permissions, Payload: k.Manifest.Payload}}}}
}

// dial makes a connection over loopback between two hosts.
func dial(t *testing.T, client, server *Host, session tls.ClientSessionCache) (c, s *quic.Conn) {
	t.Helper()
	c, s, err := tryDial(t, client, server, session)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// tryDial is dial where one end may refuse the other, which can be before both are connected.
func tryDial(t *testing.T, client, server *Host, session tls.ClientSessionCache) (c, s *quic.Conn, err error) {
	t.Helper()
	clientTLS, serverTLS := quictest.TLSConfigs(time.Now(), "plugin")
	clientTLS.ClientSessionCache = session
	ln, err := quic.ListenAddr("localhost:0", serverTLS, &quic.Config{Extensions: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if c, err = quic.DialAddr(ctx, ln.Addr().String(), clientTLS, &quic.Config{Extensions: client}); err != nil {
		return nil, nil, err
	}
	t.Cleanup(func() { c.CloseWithError(0, "") })
	s, err = ln.Accept(ctx)
	return c, s, err
}

// emitted is what plugins tell an application.
type emitted chan string

func (e emitted) on(_ *quic.Conn, id string, event uint32, payload []byte) {
	e <- fmt.Sprintf("%s %d %s", id, event, payload)
}

func (e emitted) want(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Errorf("emitted %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("nothing was emitted, want %q", want)
	}
}

// active waits until the plugin may send frames at this end.
func active(t *testing.T, c *quic.Conn, id string) hook.ExtensionStats {
	t.Helper()
	var found hook.ExtensionStats
	eventually(t, func() bool {
		for _, x := range c.ConnectionStats().Extensions {
			if found = x; x.ID == id && x.Active {
				return true
			}
		}
		return false
	})
	return found
}

func TestAPluginTravelsOverAConnectionAndRunsAtBothEnds(t *testing.T) {
	file, trust := echoesFile(t, "required")
	kept, err := cache.Open(t.TempDir(), cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := offering(t, file)
	heard := make(emitted, 10)
	client := &Host{Runtime: process(t), Accept: &Policy{Trust: trust}, Cache: kept, OnEmit: heard.on}
	c, s := dial(t, client, server, nil)
	active(t, c, "org.example.echoes")
	active(t, s, "org.example.echoes")
	if _, err := s.CallExtension("org.example.echoes", 1, nil); err != nil {
		t.Fatal(err)
	}
	heard.want(t, "org.example.echoes 9 ping")
	if x := active(t, s, "org.example.echoes"); x.FramesWritten != 1 || x.Faults != 0 {
		t.Errorf("the server's plugin: %+v", x)
	}
	if list, err := kept.List(); err != nil || len(list) != 1 {
		t.Errorf("the cache has %v, %v, want the plugin", list, err)
	}
}

func TestAPeerWithoutPluginsSeesAPlainConnection(t *testing.T) {
	file, _ := echoesFile(t, "negotiated")
	c, s := dial(t, &Host{}, offering(t, file), nil)
	stream, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	stream.CloseWrite()
	in, err := s.AcceptStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(in); err != nil || string(b) != "hello" {
		t.Errorf("read %q, %v", b, err)
	}
	if n := len(c.ConnectionStats().Extensions) + len(s.ConnectionStats().Extensions); n > 0 {
		t.Errorf("%d plugins are attached", n)
	}
}

func TestARefusalEndsTheConnectionOnlyIfThePluginIsRequired(t *testing.T) {
	for mode, ends := range map[string]bool{"negotiated": false, "required": true} {
		file, _ := echoesFile(t, mode)
		c, s, err := tryDial(t, &Host{Runtime: process(t), Accept: &Policy{Trust: &pack.Trust{}}}, offering(t, file), nil)
		if ends && err != nil && strings.Contains(err.Error(), "which is required") {
			continue // the server was faster than the client's Dial
		}
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		if ends {
			select {
			case <-s.Context().Done():
			case <-time.After(20 * time.Second):
				t.Errorf("%s: the connection goes on", mode)
			}
			continue
		}
		stream, err := c.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		stream.Write([]byte("hello"))
		if _, err := s.AcceptStream(t.Context()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestAPluginThatFailsIsDetachedAtBothEnds, and after three of these no connection gets it.
func TestAPluginThatFailsIsDetachedAtBothEnds(t *testing.T) {
	module, err := wat.Assemble("fails", []byte(strings.Replace(echoes, "(i32.const 5)) (then", "(i32.const 5)) (then unreachable", 1)))
	if err != nil {
		t.Fatal(err)
	}
	m, err := pack.ParseManifest("fails", []byte(strings.Replace(echoesManifest, "MODE", "negotiated", 1)))
	if err != nil {
		t.Fatal(err)
	}
	file, err := pack.Seal(module, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	server := offering(t, file)
	client := &Host{Runtime: process(t), Accept: &Policy{Trust: pin(t, file)}}
	for n := range MaxFaults {
		c, s := dial(t, client, server, nil)
		active(t, c, m.ID)
		active(t, s, m.ID)
		if _, err := c.CallExtension(m.ID, 1, nil); err == nil || !strings.Contains(err.Error(), "trapped: unreachable in pq_call") {
			t.Fatalf("connection %d: the call answered %v", n, err)
		}
		for _, end := range []*quic.Conn{c, s} {
			eventually(t, func() bool {
				x := end.ConnectionStats().Extensions
				return len(x) == 1 && x[0].Detached
			})
		}
	}
	c, s := dial(t, client, server, nil)
	stream, err := c.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	stream.Write([]byte("hello"))
	if _, err := s.AcceptStream(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool { return client.loads.queued.now() == 0 })
	if x := c.ConnectionStats().Extensions; len(x) > 0 {
		t.Errorf("a quarantined plugin is attached: %+v", x)
	}
}

func TestTheHostAttachesItsOwnPluginsToEveryConnection(t *testing.T) {
	file, err := os.ReadFile(filepath.Join("..", "plugins", "cc-cubic", "cc-cubic.wasm"))
	if err != nil {
		t.Skip(err)
	}
	h := &Host{Runtime: process(t)}
	m, err := h.Runtime.Load(t.Context(), "cubic.wasm", file, Policy{})
	if err != nil {
		t.Fatal(err)
	}
	h.Attach = []Use{{Plugin: m}}
	c, s := dial(t, &Host{}, h, nil)
	body := bytes.Repeat([]byte("0123456789"), 200_000)
	go func() {
		stream, err := s.OpenUniStream()
		if err == nil {
			stream.Write(body)
			stream.Close()
		}
	}()
	in, err := c.AcceptUniStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	x := active(t, s, m.manifest.ID)
	if x.Calls < 10 || x.Faults > 0 {
		t.Errorf("the plugin: %+v", x)
	}
}
