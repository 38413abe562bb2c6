package pack_test

import (
	"fmt"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

// member is a plugin of a set with replacing hooks.
func member(id string, ops ...hook.Op) *pack.Manifest {
	m := &pack.Manifest{ID: id, Version: "1.0.0"}
	for _, op := range ops {
		m.Hooks = append(m.Hooks, hook.HookDecl{Op: op, Anchor: op.Anchor()})
	}
	return m
}

func chained(m *pack.Manifest) *pack.Manifest {
	for i := range m.Hooks {
		m.Hooks[i].Chain = true
	}
	return m
}

// TestDefect7AnIDIsUnique: PQUIC took two plugins of one name, and crashed.
func TestDefect7AnIDIsUnique(t *testing.T) {
	a, b := manifest(t, plainManifest), manifest(t, plainManifest)
	wantRefusal(t, pack.CheckSet([]*pack.Manifest{a, b}), "id: org.example.plain is there twice, as 1.0.0 and 1.0.0")
}

func TestPluginsThatClashAreRefusedTogether(t *testing.T) {
	newer := member("a.b")
	newer.Version = "2.0.0"
	needs := member("a.c")
	needs.Requires = []string{"a.b"}
	hates := member("a.d")
	hates.Conflicts = []string{"a.b"}
	many := member("a.e")
	many.Frames = make([]hook.FrameDecl, hook.MaxFrames+1)
	full := member("a.e")
	full.Frames = make([]hook.FrameDecl, hook.MaxFrames)
	var crowd []*pack.Manifest
	for i := range hook.MaxExtensions + 1 {
		crowd = append(crowd, member(fmt.Sprintf("a.n%d", i)))
	}
	for _, tc := range []struct {
		name string
		set  []*pack.Manifest
		want string
	}{
		{"none", nil, ""},
		{"as many as may be", crowd[:hook.MaxExtensions], ""},
		{"too many", crowd, "plugins: 9, at most 8 may be attached to one connection"},
		{"as many frames as may be", []*pack.Manifest{full}, ""},
		{"too many frames", []*pack.Manifest{many}, "frames: a.e has 17, at most 16 are allowed"},
		{"two versions of one", []*pack.Manifest{member("a.b"), newer}, "id: a.b is there twice, as 1.0.0 and 2.0.0"},
		{"requirement is there", []*pack.Manifest{needs, member("a.b")}, ""},
		{"requirement is missing", []*pack.Manifest{needs, hates}, "requires: a.c needs a.b, which is not among the plugins"},
		{"conflict with an earlier one", []*pack.Manifest{member("a.b"), hates}, "conflicts: a.d says that it conflicts with a.b"},
		{"conflict with a later one", []*pack.Manifest{hates, member("a.b")}, "conflicts: a.d says that it conflicts with a.b"},
		{"two congestion controllers", []*pack.Manifest{member("a.b", hook.OpCongestionInit, hook.OpCongestionAck), member("a.c", hook.OpCongestionInit, hook.OpCongestionRound)},
			"hooks: a.b and a.c both replace congestion control, which has one owner"},
		{"two who ask for acknowledgments", []*pack.Manifest{member("a.b", hook.OpAckRequest), chained(member("a.c", hook.OpAckRequest))},
			"hooks: a.b and a.c both replace ack_request, which has one owner"},
		{"two schedulers", []*pack.Manifest{member("a.b", hook.OpStreamNext), member("a.c", hook.OpStreamNext)},
			`hooks: a.b and a.c both replace stream_next, which both may own only if both can defer ("chain": true)`},
		{"one of them defers", []*pack.Manifest{chained(member("a.b", hook.OpAckPolicy)), member("a.c", hook.OpAckPolicy)},
			`hooks: a.b and a.c both replace ack_policy, which both may own only if both can defer ("chain": true)`},
		{"both defer", []*pack.Manifest{chained(member("a.b", hook.OpAckPolicy)), chained(member("a.c", hook.OpAckPolicy))}, ""},
		{"timers, frames and observers are each plugin's own", []*pack.Manifest{
			member("a.b", hook.OpTimer, hook.OpFrameProcess, hook.OpFrameWrite, hook.OpAppCall, hook.OpPacketBegin, hook.OpRTTSample),
			member("a.c", hook.OpTimer, hook.OpFrameProcess, hook.OpFrameWrite, hook.OpAppCall, hook.OpPacketBegin, hook.OpRTTSample),
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := pack.CheckSet(tc.set)
			if tc.want == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			wantRefusal(t, err, tc.want)
		})
	}
}
