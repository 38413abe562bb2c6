package quictest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/qlog"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// moveLog is a qlog of which only what it says of migration is read.
type moveLog struct{ buf bytes.Buffer }

func (l *moveLog) log(vantage string) *qlog.Log {
	return qlog.New(&l.buf, qlog.Header{Vantage: vantage, ODCID: []byte{1}, Epoch: time.Unix(1, 0)})
}

// want checks what became of each tuple, in order: "1 probing_started". The one
// of the handshake has no number.
func (l *moveLog) want(t *testing.T, what string, want ...string) {
	t.Helper()
	var got []string
	for _, rec := range bytes.Split(l.buf.Bytes(), []byte{0x1e})[1:] {
		var e struct {
			Name string
			Data struct {
				New   string
				Tuple string `json:"tuple_id"`
			}
		}
		if err := json.Unmarshal(rec, &e); err != nil {
			t.Fatal(err)
		}
		switch e.Name {
		case "quic:tuple_assigned":
			got = append(got, e.Data.Tuple+" assigned")
		case "quic:migration_state_updated":
			got = append(got, strings.TrimSpace(e.Data.Tuple+" "+e.Data.New))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: log\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestLogsOfBothSidesTellOfAMove(t *testing.T) {
	var logs [2]moveLog
	m := newMover(t, otherHost, func(side netsim.Side, cfg *core.Config) {
		cfg.Log = logs[side].log([2]string{"client", "server"}[side])
	})
	if err := m.move(); err != nil {
		t.Fatal(err)
	}
	m.fetch("1000")
	m.Run(5*time.Second, func() bool { return false })
	logs[netsim.Left].want(t, "client", "1 assigned", "1 probing_started", "1 probing_successful", "1 migration_started", "1 migration_complete")
	logs[netsim.Right].want(t, "server", "1 assigned", "1 probing_started", "1 probing_successful", "1 migration_started", "1 migration_complete",
		"probing_started", "probing_successful")
}

func TestLogTellsOfAMoveThatGetsNoAnswer(t *testing.T) {
	var log moveLog
	m := newMover(t, otherHost, func(side netsim.Side, cfg *core.Config) {
		if side == netsim.Left {
			cfg.Log = log.log("client")
		}
	})
	m.dead[otherHost] = true
	if err := m.move(); err != nil {
		t.Fatal(err)
	}
	m.Run(10*time.Second, func() bool { return m.client.MoveErr != nil })
	log.want(t, "client", "1 assigned", "1 probing_started", "1 probing_abandoned")
}

func TestLogTellsOfAMoveBeforeItsProof(t *testing.T) {
	newLogged := func(log *moveLog) *RawPeer {
		r := NewRawClient(t, RawOptions{Config: func(cfg *core.Config) { cfg.Log = log.log("server") }}).Connect()
		r.AutoAck = false
		r.local = otherPort
		r.Send(App, frame(wire.FramePing), large())
		return r
	}
	var proved, failed moveLog
	newLogged(&proved).answer(otherPort)
	proved.want(t, "proved", "1 assigned", "1 migration_started", "1 probing_started", "probing_started", "1 probing_successful", "1 migration_complete")
	newLogged(&failed).Advance(10 * time.Second)
	failed.want(t, "not proved", "1 assigned", "1 migration_started", "1 probing_started", "probing_started",
		"1 probing_abandoned", "1 migration_abandoned", "migration_started", "migration_complete", "probing_abandoned")
}
