package pack_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
)

func TestAManifestIsReadAsItStands(t *testing.T) {
	m := manifest(t, fecManifest)
	want := &pack.Manifest{
		ID: "org.example.fec", Version: "1.2.0-rc.1+build.007",
		Description: "repairs what was lost – näher am Empfänger", License: "MIT",
		ABI: pack.ABIRange{Min: 0x10000, Max: 0x10004}, Roles: pack.Client | pack.Server, Mode: hook.Negotiated,
		Hooks: []hook.HookDecl{
			{Op: hook.OpReceivePayload, Anchor: hook.Before},
			{Op: hook.OpPacketBegin, Anchor: hook.Before, Order: -3},
			{Op: hook.OpFrameProcess, Anchor: hook.Replace},
			{Op: hook.OpFrameWrite, Anchor: hook.Replace},
			{Op: hook.OpAckPolicy, Anchor: hook.Replace, Chain: true},
			{Op: hook.OpTimer, Anchor: hook.Replace},
			{Op: hook.OpAppCall, Anchor: hook.Replace},
			{Op: hook.OpTakeEvent, Anchor: hook.After},
		},
		Frames: []hook.FrameDecl{
			{Name: "REPAIR", AckEliciting: true, InFlight: true, Early: true, MaxLen: 1400},
			{Name: "SOURCE", RideAlong: true, MaxLen: 16},
		},
		Permissions: hook.MayReserve | hook.MayTimer | hook.MayCount | hook.MayEvent | hook.MayRecover,
		Payload:     true, Weight: 2,
		Limits: pack.Limits{MemoryPages: 32, Fuel: 150_000, Limits: hook.Limits{Timers: 2, Reservations: 8, ReservedBytes: 16000, Emit: 5, LogBytes: 100}},
		Config: []pack.ConfigField{
			{Name: "window", Kind: pack.Integer, Min: 1, Max: 64, Default: 25, Unit: "packets", Description: "source packets"},
			{Name: "scheme", Kind: pack.Choice, Choices: []string{"xor", "rs", "rlc"}, Default: 2},
			{Name: "tail", Kind: pack.Bool, Default: 1},
		},
		AppOps:    []pack.AppOp{{ID: 1, Name: "flush", Description: "send repair now"}},
		Metrics:   []hook.MetricDecl{{ID: 0, Name: "repaired", Unit: "packets"}, {ID: 7, Name: "window", Gauge: true}},
		Requires:  []string{"org.example.base"},
		Conflicts: []string{"org.example.other-fec"},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("read %+v\nwant %+v", m, want)
	}
	info := m.Info([32]byte{1})
	if info.ID != m.ID || info.Digest[0] != 1 || len(info.Hooks) != 8 || len(info.Frames) != 2 || !info.Payload || info.Limits.Timers != 2 || info.Weight != 2 {
		t.Errorf("the connection is told %+v", info)
	}
}

func TestTheCanonicalFormIsAFixedPoint(t *testing.T) {
	for _, text := range []string{fecManifest, plainManifest} {
		canonical := manifest(t, text).Canonical()
		again := manifest(t, string(canonical))
		if !reflect.DeepEqual(again, manifest(t, text)) {
			t.Errorf("the canonical form says something else: %s", canonical)
		}
		if !bytes.Equal(again.Canonical(), canonical) {
			t.Errorf("the canonical form of the canonical form is another one: %s", canonical)
		}
	}
	want := `{"abi":{"max":"1.0","min":"1.0"},"hooks":[{"anchor":"after","op":"rtt_sample"}],"id":"org.example.plain","mode":"local","roles":["server"],"version":"1.0.0"}`
	if got := manifest(t, plainManifest).Canonical(); string(got) != want {
		t.Errorf("canonical form\n  %s\nwant\n  %s", got, want)
	}
}

// TestDefect12NothingIsDeclaredThatCannotWork: PQUIC took hooks at operations that did not exist and never called them, and called plugins with fewer
// arguments than they read.
func TestDefect12NothingIsDeclaredThatCannotWork(t *testing.T) {
	for _, tc := range []struct{ name, from, to, want string }{
		{"unknown operation", `"op": "rx_payload"`, `"op": "rx_paylod"`, `hooks[0].op: "rx_paylod" is no hook, did you mean "rx_payload"?`},
		{"operation far from any", `"op": "rx_payload"`, `"op": "prepare_packet_ready"`, `hooks[0].op: "prepare_packet_ready" is no hook`},
		{"operation that comes later", `"op": "rx_payload"`, `"op": "tp_write"`, `hooks[0].op: "tp_write" comes later, nothing can be attached to it yet`},
		{"unknown anchor", `"anchor": "before", "order"`, `"anchor": "pre", "order"`, `hooks[1].anchor: "pre" is no anchor, want one of before, replace, after`},
		{"wrong anchor", `"anchor": "before", "order"`, `"anchor": "after", "order"`, `hooks[1].anchor: "after" at tx_packet_begin, want "before"`},
		{"chain where nobody defers", `"order": -3`, `"chain": true`, `hooks[1].chain: tx_packet_begin cannot be shared by deferring`},
		{"same operation twice", `"op": "rx_payload"`, `"op": "tx_packet_begin"`, `hooks[1].op: tx_packet_begin is that of hooks[0] already`},
		{"parameter", `"order": -3`, `"param": 300`, `hooks[1].param: no such field`},
		{"timer without permission", `"timer", "count"`, `"count"`, `hooks[5].op: timer would never be called without the permission "timer"`},
		{"events without permission", `"event", `, ``, `hooks[7].op: take_event would never be called without the permission "event", with which the peer's half sends`},
		{"payload without view", `"views": ["payload"],`, ``, `hooks[0].op: rx_payload would never be called without the view "payload"`},
		{"application calls without operations", `"app_ops": [{"id": 1, "name": "flush", "description": "send repair now"}],`, ``, `hooks[6].op: app_call would never be called without app_ops`},
		{"operations without application calls", `{"op": "app_call", "anchor": "replace"},`, ``, `app_ops: nobody answers them: there is no hook app_call`},
		{"frames that nobody takes", `{"op": "frame_process", "anchor": "replace"},`, ``, `frames: nobody takes them: there is no hook frame_process`},
		{"frames that nobody writes", `{"op": "frame_write", "anchor": "replace"},`, ``, `frames: nobody writes them: there is no hook frame_write`},
		{"frames that never ride", `{"op": "tx_packet_begin", "anchor": "before", "order": -3},`, ``, `frames: those that ride along have no hook tx_packet_begin`},
		{"frames without permission", `"reserve", `, ``, `frames: nobody may send them: there is no permission "reserve"`},
		{"metrics without permission", `"count", `, ``, `metrics: nobody may count them: there is no permission "count"`},
		{"frames of one end", `"negotiated"`, `"local"`, `frames: mode is local, so no peer would understand them`},
		{"half a congestion controller", `"op": "rx_payload", "anchor": "before"`, `"op": "cc_ack", "anchor": "replace"`, `hooks[0].op: cc_ack without cc_init, which begins a path`},
		{"deaf congestion controller", `"op": "rx_payload", "anchor": "before"`, `"op": "cc_init", "anchor": "replace"`, `hooks[0].op: a congestion controller without cc_ack or cc_round hears nothing`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pack.ParseManifest("fec.wasm", []byte(edited(t, fecManifest, tc.from, tc.to)))
			wantRefusal(t, err, "fec.wasm: "+tc.want)
		})
	}
	both := edited(t, plainManifest, `{"op":"rtt_sample","anchor":"after"}`,
		`{"op":"cc_init","anchor":"replace"},{"op":"cc_ack","anchor":"replace"},{"op":"cc_round","anchor":"replace"}`)
	_, err := pack.ParseManifest("cc.wasm", []byte(both))
	wantRefusal(t, err, "cc.wasm: hooks[0].op: cc_ack and cc_round exclude each other")

	lonely := edited(t, plainManifest, `{"op":"rtt_sample","anchor":"after"}`, `{"op":"frame_fate","anchor":"after"}`)
	_, err = pack.ParseManifest("a.wasm", []byte(lonely))
	wantRefusal(t, err, "a.wasm: hooks[0].op: frame_fate would never be called without frames that are not ride_along")

	deaf := edited(t, plainManifest, `"mode":"local"`, `"mode":"local","permissions":["event"]`)
	_, err = pack.ParseManifest("a.wasm", []byte(deaf))
	wantRefusal(t, err, `a.wasm: permissions: "event", but mode is local: there is no peer's half`)
}

// TestDefect4NumbersAreNeverCutOff: PQUIC cast frame types and parameters to 16 bits, so that a number of 62 bits stood for a registered one. Here
// frames have no numbers but their places in a list, and every number that is too large is refused, not wrapped.
func TestDefect4NumbersAreNeverCutOff(t *testing.T) {
	for _, tc := range []struct{ name, from, to, want string }{
		{"frame with a number", `"name": "REPAIR"`, `"name": "REPAIR", "type": 65584`, `frames[0].type: no such field`},
		{"2^32 as an operation's id", `"app_ops": [{"id": 1`, `"app_ops": [{"id": 4294967297`, `app_ops[0].id: 4294967297, want an integer from 0 to 4294967295`},
		{"2^32 as a metric's id", `"id": 7`, `"id": 4294967303`, `metrics[1].id: 4294967303, want an integer from 0 to 4294967295`},
		{"2^32 as a length", `"max_len": 1400`, `"max_len": 4294967297`, `frames[0].max_len: 4294967297, want an integer from 1 to 1450`},
		{"2^16 in a version", `"min": "1.0"`, `"min": "65537.0"`, `abi.min: "65537.0" is no version (want one such as "1.0")`},
		{"2^53", `"weight": 2`, `"weight": 9007199254740993`, `line 25, column 13: want an integer of at most 2^53-1`},
		{"2^64", `"weight": 2`, `"weight": 18446744073709551618`, `line 25, column 13: want an integer of at most 2^53-1`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pack.ParseManifest("fec.wasm", []byte(edited(t, fecManifest, tc.from, tc.to)))
			wantRefusal(t, err, "fec.wasm: "+tc.want)
		})
	}
}

func TestARefusedManifestNamesFileFieldAndRule(t *testing.T) {
	long := strings.Repeat("x", 101)
	for _, tc := range []struct{ name, from, to, want string }{
		{"no id", `"id": "org.example.fec",`, ``, `id: is missing`},
		{"no hooks field", `"hooks": [
    {"op": "rx_payload", "anchor": "before"},`, `"hoks": [
    {"op": "rx_payload", "anchor": "before"},`, `hooks: is missing`},
		{"misspelt field", `"weight": 2`, `"wieght": 2`, `wieght: no such field, did you mean "weight"?`},
		{"misspelt inner field", `"ride_along": true`, `"ridealong": true`, `frames[1].ridealong: no such field, did you mean "ride_along"?`},
		{"field without a name", `"weight": 2`, `"": 2`, `line 25, column 3: a field without a name`},
		{"two misspelt fields", `"weight": 2`, `"wieght": 2, "a": 1`, `a: no such field`},
		{"duplicate field", `"weight": 2`, `"weight": 2, "weight": 2`, `line 25, column 16: field "weight" is there twice`},
		{"id of one label", `"org.example.fec"`, `"fec"`, `id: "fec", want a reverse domain name in lower case such as "org.example.fec"`},
		{"id in capitals", `"org.example.fec"`, `"Org.example.fec"`, `id: "Org.example.fec", want a reverse domain name in lower case such as "org.example.fec"`},
		{"id that climbs", `"org.example.fec"`, `"org/../fec"`, `id: "org/../fec", want a reverse domain name in lower case such as "org.example.fec"`},
		{"id too long", `"org.example.fec"`, `"org.` + long + `"`, `id: has 105 bytes, at most 100 are allowed`},
		{"id no string", `"org.example.fec"`, `7`, `id: want a string, got an integer`},
		{"version", `"1.2.0-rc.1+build.007"`, `"1.2"`, `version: "1.2", want a semantic version such as "1.0.0"`},
		{"version with zeros", `"1.2.0-rc.1+build.007"`, `"1.02.0"`, `version: "1.02.0", want a semantic version such as "1.0.0"`},
		{"pre-release with zeros", `"1.2.0-rc.1+build.007"`, `"1.2.0-01"`, `version: "1.2.0-01", want a semantic version such as "1.0.0"`},
		{"abi upside down", `"min": "1.0"`, `"min": "2.0"`, `abi.min: 2.0, more than max, which is 1.4`},
		{"abi of one number", `"min": "1.0"`, `"min": "1"`, `abi.min: "1" is no version (want one such as "1.0")`},
		{"abi incomplete", `"min": "1.0", `, ``, `abi.min: is missing`},
		{"no roles", `["client", "server"]`, `[]`, `roles: is empty, want client, server or both`},
		{"unknown role", `["client", "server"]`, `["client", "sever"]`, `roles[1]: "sever" is no role, did you mean "server"?`},
		{"role twice", `["client", "server"]`, `["client", "client"]`, `roles[1]: "client" is there twice`},
		{"unknown mode", `"negotiated"`, `"always"`, `mode: "always" is no mode, want one of local, negotiated, required`},
		{"hook no object", `{"op": "timer", "anchor": "replace"}`, `"timer"`, `hooks[5]: want an object, got a string`},
		{"hook without anchor", `{"op": "timer", "anchor": "replace"}`, `{"op": "timer"}`, `hooks[5].anchor: is missing`},
		{"order out of range", `"order": -3`, `"order": -1001`, `hooks[1].order: -1001, want an integer from -1000 to 1000`},
		{"frame without length", `"ride_along": true, "max_len": 16`, `"ride_along": true`, `frames[1].max_len: is missing`},
		{"long frame that rides along", `"max_len": 16`, `"max_len": 17`, `frames[1].max_len: 17, want an integer from 1 to 16`},
		{"frame name", `"name": "SOURCE"`, `"name": "SOURCE FRAME"`, `frames[1].name: "SOURCE FRAME", want a name of letters, digits, "_", "-" and "." that begins with a letter`},
		{"frame name twice", `"name": "SOURCE"`, `"name": "REPAIR"`, `frames[1].name: REPAIR is that of frames[0] already`},
		{"eliciting frame that is not in flight", `"in_flight": true, `, ``, `frames[0].in_flight: must be true of a frame that is ack_eliciting`},
		{"unknown permission", `"recovered"]`, `"recoverd"]`, `permissions[4]: "recoverd" is no permission, did you mean "recovered"?`},
		{"permission that comes later", `"recovered"]`, `"set:cwnd"]`, `permissions[4]: "set:cwnd" comes later, nobody can be granted it yet`},
		{"permission twice", `"recovered"]`, `"timer"]`, `permissions[4]: "timer" is there twice`},
		{"unknown view", `"views": ["payload"]`, `"views": ["headers"]`, `views[0]: "headers" is no view, want one of payload`},
		{"weight", `"weight": 2`, `"weight": 17`, `weight: 17, want an integer from 1 to 16`},
		{"fraction", `"weight": 2`, `"weight": 2.5`, `line 25, column 14: want an integer, no fraction and no exponent`},
		{"memory", `"memory_pages": 32`, `"memory_pages": 65`, `limits.memory_pages: 65, want an integer from 1 to 64`},
		{"fuel", `"fuel": 150000`, `"fuel": 200001`, `limits.fuel: 200001, want an integer from 1 to 200000`},
		{"timers", `"timers": 2`, `"timers": 17`, `limits.timers: 17, want an integer from 1 to 16`},
		{"unknown limit", `"emit": 5`, `"emits": 5`, `limits.emits: no such field, did you mean "emit"?`},
		{"default out of range", `"window": 25`, `"window": 65`, `config.defaults.window: 65, want an integer from 1 to 64`},
		{"default of another kind", `"tail": true`, `"tail": 1`, `config.defaults.tail: want true or false, got an integer`},
		{"no such choice", `"scheme": "rlc"`, `"scheme": "tetris"`, `config.defaults.scheme: "tetris" is no choice, want one of xor, rs, rlc`},
		{"no default", `, "tail": true`, ``, `config.defaults.tail: is missing`},
		{"default of nothing", `"tail": true`, `"tail": true, "head": true`, `config.defaults.head: no such field`},
		{"setting twice", `"name": "tail"`, `"name": "scheme"`, `config.schema[2].name: scheme is that of config.schema[1] already`},
		{"kind of setting", `"type": "bool"`, `"type": "float"`, `config.schema[2].type: "float" is no type of setting, want one of int, bool, choice`},
		{"span upside down", `"min": 1, "max": 64`, `"min": 65, "max": 64`, `config.schema[0].min: 65, more than max, which is 64`},
		{"span of no integer", `"type": "bool"`, `"type": "bool", "max": 1`, `config.schema[2].max: no such field`},
		{"choice twice", `["xor", "rs", "rlc"]`, `["xor", "rs", "rs"]`, `config.schema[1].choices[2]: "rs" is there twice`},
		{"metric type", `"type": "gauge"`, `"type": "guage"`, `metrics[1].type: "guage" is no type of metric, did you mean "gauge"?`},
		{"metric id twice", `"id": 7`, `"id": 0`, `metrics[1].id: 0 is that of metrics[0] already`},
		{"metric without id", `"id": 7, `, ``, `metrics[1].id: is missing`},
		{"requires no id", `["org.example.base"]`, `["base"]`, `requires[0]: "base", want a reverse domain name in lower case such as "org.example.fec"`},
		{"requires itself", `["org.example.base"]`, `["org.example.fec"]`, `requires: org.example.fec requires itself`},
		{"conflicts with itself", `["org.example.other-fec"]`, `["org.example.fec"]`, `conflicts: org.example.fec conflicts with itself`},
		{"conflicts with what it requires", `["org.example.other-fec"]`, `["org.example.base"]`, `conflicts: org.example.base is required, too`},
		{"escape sequence for terminals", `"MIT"`, `"\u001b[2JMIT"`, `license: "\x1b[2JMIT" has characters that cannot be shown`},
		{"right-to-left override", `"MIT"`, `"\u202eTIM"`, `license: "\u202eTIM" has characters that cannot be shown`},
		{"null", `"MIT"`, `null`, `line 5, column 18: null says nothing, leave the field out`},
		{"half a surrogate pair", `"MIT"`, `"\ud800"`, `line 5, column 21: half of a surrogate pair`},
		{"trailing text", `"org.example.other-fec"]
}`, `"org.example.other-fec"]
}}`, `line 39, column 2: want the end, got more text`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := pack.ParseManifest("fec.wasm", []byte(edited(t, fecManifest, tc.from, tc.to)))
			wantRefusal(t, err, "fec.wasm: "+tc.want)
		})
	}
}

// TestListsOfAManifestEndSomewhere fills each list up to its limit, and then once more.
func TestListsOfAManifestEndSomewhere(t *testing.T) {
	series := func(n int, format string) string {
		var parts []string
		for i := range n {
			parts = append(parts, fmt.Sprintf(format, i))
		}
		return strings.Join(parts, ",")
	}
	cc := `,"permissions":["count"],"hooks":[{"op":"app_call","anchor":"replace"}],"app_ops":[{"id":77,"name":"x"}]`
	base := edited(t, plainManifest, `,"hooks":[{"op":"rtt_sample","anchor":"after"}]`, cc)
	for _, tc := range []struct {
		field string
		limit int
		with  func(n int) string
	}{
		{"app_ops", pack.MaxAppOps, func(n int) string {
			return edited(t, base, `{"id":77,"name":"x"}`, series(n, `{"id":%d,"name":"n%[1]d"}`))
		}},
		{"metrics", hook.MaxMetrics, func(n int) string {
			return edited(t, base, `,"mode"`, `,"metrics":[`+series(n, `{"id":%d,"name":"n%[1]d","type":"gauge"}`)+`],"mode"`)
		}},
		{"requires", pack.MaxNeighbours, func(n int) string {
			return edited(t, base, `,"mode"`, `,"requires":[`+series(n, `"org.n%d"`)+`],"mode"`)
		}},
		{"conflicts", pack.MaxNeighbours, func(n int) string {
			return edited(t, base, `,"mode"`, `,"conflicts":[`+series(n, `"org.n%d"`)+`],"mode"`)
		}},
		{"config.schema", pack.MaxConfig, func(n int) string {
			return edited(t, base, `,"mode"`, `,"config":{"schema":[`+series(n, `{"name":"n%d","type":"bool"}`)+`],"defaults":{`+series(n, `"n%d":true`)+`}},"mode"`)
		}},
		{"config.schema[0].choices", pack.MaxChoices, func(n int) string {
			return edited(t, base, `,"mode"`, `,"config":{"schema":[{"name":"c","type":"choice","choices":[`+series(n, `"n%d"`)+`]}],"defaults":{"c":"n0"}},"mode"`)
		}},
		{"frames", hook.MaxFrames, func(n int) string {
			return edited(t, edited(t, edited(t, base, `{"op":"app_call","anchor":"replace"}`,
				`{"op":"app_call","anchor":"replace"},{"op":"frame_write","anchor":"replace"},{"op":"frame_process","anchor":"replace"}`),
				`"count"`, `"count","reserve"`), `"mode":"local"`, `"mode":"required","frames":[`+series(n, `{"name":"n%d","max_len":3}`)+`]`)
		}},
	} {
		t.Run(tc.field, func(t *testing.T) {
			if _, err := pack.ParseManifest("a.wasm", []byte(tc.with(tc.limit))); err != nil {
				t.Errorf("a full list is refused: %v", err)
			}
			_, err := pack.ParseManifest("a.wasm", []byte(tc.with(tc.limit+1)))
			wantRefusal(t, err, fmt.Sprintf("a.wasm: %s: has %d elements, at most %d are allowed", tc.field, tc.limit+1, tc.limit))
		})
	}
	hooks := edited(t, plainManifest, `{"op":"rtt_sample","anchor":"after"}`, series(pack.MaxHooks+1, `{"op":"rtt_sample","anchor":"after","order":%d}`))
	_, err := pack.ParseManifest("a.wasm", []byte(hooks))
	wantRefusal(t, err, fmt.Sprintf("a.wasm: hooks: has %d elements, at most %d are allowed", pack.MaxHooks+1, pack.MaxHooks))

	_, err = pack.ParseManifest("a.wasm", []byte(plainManifest+strings.Repeat(" ", pack.MaxManifest)))
	wantRefusal(t, err, fmt.Sprintf("a.wasm: manifest has %d bytes, at most %d are allowed", len(plainManifest)+pack.MaxManifest, pack.MaxManifest))

	_, err = pack.ParseManifest("a.wasm", []byte(strings.Repeat("[", 1000)))
	wantRefusal(t, err, fmt.Sprintf("a.wasm: line 1, column %d: nested deeper than %d", pack.MaxDepth+2, pack.MaxDepth))
}

func TestEachPrefixOfAManifestIsRefused(t *testing.T) {
	for i := range len(fecManifest) {
		if _, err := pack.ParseManifest("a.wasm", []byte(fecManifest[:i])); err == nil {
			t.Fatalf("the first %d bytes of a manifest are taken for one", i)
		}
	}
}

func TestAConfigurationIsAnArrayOfIntegers(t *testing.T) {
	m := manifest(t, fecManifest)
	got, err := m.Configure(map[string]string{"scheme": "xor", "window": "40"})
	want := []byte{40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Configure gives %x, %v, want %x", got, err, want)
	}
	if err := m.CheckConfig(got); err != nil {
		t.Errorf("what Configure made is refused: %v", err)
	}
	for _, tc := range []struct{ name, value, want string }{
		{"windw", "1", `config.windw: org.example.fec has no such setting, did you mean "window"?`},
		{"window", "65", `config.window: "65", want an integer from 1 to 64`},
		{"window", "many", `config.window: "many", want an integer from 1 to 64`},
		{"scheme", "rsa", `config.scheme: "rsa", want one of xor, rs, rlc`},
		{"tail", "yes", `config.tail: "yes", want true or false`},
	} {
		_, err := m.Configure(map[string]string{tc.name: tc.value})
		wantRefusal(t, err, tc.want)
	}
}

func TestAConfigurationFromAPeerIsNotBelieved(t *testing.T) {
	m := manifest(t, fecManifest)
	good, _ := m.Configure(nil)
	for i := range good {
		if err := m.CheckConfig(good[:i]); err == nil {
			t.Errorf("%d bytes of %d are taken", i, len(good))
		}
	}
	wantRefusal(t, m.CheckConfig(append(good, 0)), "config: has 25 bytes, want 24: 8 for each of 3 settings")
	bad := bytes.Clone(good)
	bad[15] = 0x80 // the sign of the second setting
	wantRefusal(t, m.CheckConfig(bad), "config.scheme: -9223372036854775806, want an integer from 0 to 2")
	bad = bytes.Clone(good)
	bad[0] = 0
	wantRefusal(t, m.CheckConfig(bad), "config.window: 0, want an integer from 1 to 64")
}

func TestAPluginForAnotherABIIsRefused(t *testing.T) {
	m := manifest(t, fecManifest)
	for _, v := range []pack.ABIVersion{0x10000, 0x10004} {
		if err := m.CheckABI(v); err != nil {
			t.Errorf("a host with %v refuses it: %v", v, err)
		}
	}
	wantRefusal(t, m.CheckABI(0x10005), "abi: written for 1.0 to 1.4, this host has 1.5")
	wantRefusal(t, m.CheckABI(0x20000), "abi: written for 1.0 to 1.4, this host has 2.0")
}
