package quictest

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/netsim"
)

// The values that draft-ietf-quic-qlog-quic-events names, of what the core writes.
var (
	qlogEvents = strings.Fields("quic:connection_started quic:connection_closed quic:version_information quic:alpn_information quic:parameters_set " +
		"quic:packet_sent quic:packet_received quic:packet_dropped quic:packet_buffered quic:packet_lost quic:key_updated quic:key_discarded " +
		"quic:recovery_parameters_set quic:recovery_metrics_updated quic:ecn_state_updated quic:spin_bit_updated quic:mtu_updated " +
		"quic:tuple_assigned quic:migration_state_updated")
	qlogKeys  = regexp.MustCompile(`^(client|server)_(initial|handshake|0rtt|1rtt)_secret$`)
	qlogDrops = strings.Fields("internal_error rejected unsupported invalid duplicate connection_unknown decryption_failure key_unavailable general")
)

// TestEveryEventOfAConnectionIsOfTheDraft runs connections that use all
// extensions, with loss, and reads both logs.
func TestEveryEventOfAConnectionIsOfTheDraft(t *testing.T) {
	var logs [2]bytes.Buffer
	seen := map[string]int{}
	opts := bothWays(netsim.LinkConfig{Delay: 10 * time.Millisecond, Loss: 0.02})
	opts.Config = func(side netsim.Side, cfg *core.Config) {
		cfg.MaxDatagramFrame, cfg.ResetStreamAt = 65535, true
		cfg.Log = qlog.New(&logs[side], qlog.Header{Vantage: [2]string{"client", "server"}[side], ODCID: []byte{1}, Epoch: time.Unix(1, 0)})
	}
	p := NewPair(t, Seed(t, 1), opts)
	serve(p)
	runTransfer(t, p, []byte("1000000"))
	c := p.Client.Conns[0]
	c.SendDatagram([]byte("hello"))
	s, _ := c.Open(true)
	c.Write(s, []byte("keep"))
	c.SetReliableBoundary(s)
	c.Reset(s, 1)
	c.UpdateKeys(p.Clock.Now())
	c.Flush()
	p.Run(3*time.Second, func() bool { return false })
	c.Close(p.Clock.Now(), 7, "bye")
	c.Flush()
	p.Run(3*time.Second, func() bool { return false })
	for side := range logs {
		last := -1.0
		for i, rec := range bytes.Split(logs[side].Bytes(), []byte{0x1e})[1:] {
			var e struct {
				Time       float64
				Name       string
				FileSchema string `json:"file_schema"`
				Data       struct {
					KeyType string `json:"key_type"`
					Trigger string
					Frames  []struct {
						FrameType string `json:"frame_type"`
					}
				}
			}
			if rec[len(rec)-1] != '\n' {
				t.Fatalf("RFC 7464 §2: record %d does not end a line: %q", i, rec)
			}
			if err := json.Unmarshal(rec, &e); err != nil {
				t.Fatalf("record %d is no JSON: %v: %s", i, err, rec)
			}
			if i == 0 {
				if e.FileSchema != "urn:ietf:params:qlog:file:sequential" {
					t.Errorf("file_schema %q", e.FileSchema)
				}
				continue
			}
			seen[e.Name]++
			if !slices.Contains(qlogEvents, e.Name) || e.Time < last {
				t.Errorf("event %q at %v after %v", e.Name, e.Time, last)
			}
			last = e.Time
			if strings.HasPrefix(e.Name, "quic:key_") && !qlogKeys.MatchString(e.Data.KeyType) {
				t.Errorf("%s of key_type %q", e.Name, e.Data.KeyType)
			}
			if e.Name == "quic:packet_dropped" && !slices.Contains(qlogDrops, e.Data.Trigger) {
				t.Errorf("packet_dropped with trigger %q", e.Data.Trigger)
			}
			for _, f := range e.Data.Frames {
				seen[f.FrameType]++
			}
		}
	}
	for _, want := range strings.Fields("datagram reset_stream_at ack_frequency quic:ecn_state_updated quic:spin_bit_updated quic:recovery_parameters_set quic:key_updated quic:key_discarded quic:packet_lost quic:connection_closed") {
		if seen[want] == 0 {
			t.Errorf("no %s in the logs: %v", want, seen)
		}
	}
	if seen["unknown"] > 0 {
		t.Errorf("%d frames without a name", seen["unknown"])
	}
}
