package quictest

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/dissect"
	"github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/netsim"
)

var update = flag.Bool("update", false, "rewrite the golden transcripts; look at what changed")

// TestTranscriptsAreAsTheyWere compares every packet of short connections with
// testdata/NAME.txt: what changes on the wire is to be seen in a review.
func TestTranscriptsAreAsTheyWere(t *testing.T) {
	for name, play := range map[string]func(p *Pair, c *Peer){
		"handshake": func(*Pair, *Peer) {},
		"keyupdate": func(p *Pair, c *Peer) {
			c.UpdateKeys(p.Clock.Now())
			c.Flush()
		},
		"rebinding": func(p *Pair, c *Peer) {
			p.Client.Addr = netip.AddrPortFrom(p.Client.Addr.Addr(), 60000)
			c.Get([]byte("100"))
		},
		"migration": func(p *Pair, c *Peer) {
			next := netip.AddrPortFrom(p.Client.Addr.Addr(), 60001)
			p.Client.More = append(p.Client.More, next)
			c.Move(p.Clock.Now(), 1, next.Addr(), p.Server.Addr)
			c.Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := transcript(t, play)
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
			for i := range max(len(wantLines), len(gotLines)) {
				w, g := lineOf(wantLines, i), lineOf(gotLines, i)
				if w != g {
					t.Fatalf("%s:%d:\n got %s\nwant %s\nRun with -update if the change is meant.", path, i+1, g, w)
				}
			}
		})
	}
}

func lineOf(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(the end)"
}

// transcript is a handshake, a small request, and what play does after it, a
// line for each packet.
func transcript(t *testing.T, play func(p *Pair, c *Peer)) string {
	capture, keys := dissecttest.NewCapture(), &bytes.Buffer{}
	var p *Pair
	p = NewPair(t, Seed(t, 3), Options{
		Config: func(side netsim.Side, cfg *core.Config) {
			cfg.NoGrease, cfg.NoSpin = true, true
			cfg.MaxMTU = 0
			if side == netsim.Left {
				cfg.TLS = cfg.TLS.Clone()
				cfg.TLS.KeyLogWriter = keys
			}
		},
		Pass: func(src, dst netip.AddrPort, d []byte) bool {
			capture.UDP(p.Clock.Since(), src, dst, 0, d)
			return true
		},
	})
	serve(p)
	runTransfer(t, p, []byte("100"))
	c := p.Client.Conns[0]
	p.Run(time.Second, func() bool { return false })
	play(p, c)
	p.Run(5*time.Second, func() bool { return false })
	c.Close(p.Clock.Now(), 0, "done")
	c.Flush()
	p.Run(time.Second, func() bool { return false })
	trace, err := dissect.Read(capture.Bytes(), dissect.Options{KeyLogs: [][]byte{keys.Bytes()}, AnyPort: true})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for i := range trace.Datagrams {
		d := &trace.Datagrams[i]
		for j := range d.Packets {
			fmt.Fprintf(&out, "%8.1fms  %v > %v  %4d  %v\n", float64(d.Time)/1e6, d.Src, d.Dst, d.Size, &d.Packets[j])
		}
	}
	return chance.ReplaceAllString(out.String(), "$1")
}

// chance is what is drawn by lot, which would show in every line for any change.
var chance = regexp.MustCompile(`((?:NEW_CONNECTION_ID \d+|PATH_CHALLENGE|PATH_RESPONSE)) [0-9a-f]{16}`)
