package check

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	kit "github.com/seed51309289/quiver/internal/dissect/dissecttest"
	"github.com/seed51309289/quiver/internal/wire"
)

func wantVerdict(t *testing.T, v Verdict, result, reason string) {
	t.Helper()
	if v.Result != result || !strings.Contains(v.Reason, reason) {
		t.Errorf("verdict is %v\nwant %s because %q", v, result, reason)
	}
}

func TestUnknownTestNamesTheKnownOnes(t *testing.T) {
	v := Judge(Input{Test: "teleport", Dir: t.TempDir()})
	wantVerdict(t, v, Failed, `no criteria for test "teleport", known are: amplificationlimit, blackhole, chacha20, connectionmigration, `)
}

func TestUnknownProfileFails(t *testing.T) {
	wantVerdict(t, Judge(Input{Test: "handshake", Profile: "lax"}), Failed, `unknown profile "lax", want "compat"`)
}

func TestRunWithoutKeyLogIsUnsupportedOnlyWhereKeysAreNeeded(t *testing.T) {
	for test, c := range cases {
		s := newScript(t, test)
		s.good()
		s.keyLogs = nil
		want, reason := Succeeded, ""
		if c.needKeys {
			want, reason = Unsupported, "no valid key log"
		}
		wantVerdict(t, s.judge(), want, reason)
	}
}

func TestKeyLogOfTheServerServesWhenTheClientsIsInvalid(t *testing.T) {
	for _, clients := range []string{"", "# nothing here\n", "CLIENT_RANDOM 00 00\n"} {
		s := newScript(t, "multiplexing")
		s.good()
		s.keyLogs["server/keys.log"] = s.keyLogs["client/keys.log"]
		s.keyLogs["client/keys.log"] = []byte(clients)
		wantVerdict(t, s.judge(), Succeeded, "")
	}
}

func TestKeyLogOfTheClientIsPreferred(t *testing.T) {
	s := newScript(t, "multiplexing")
	s.good()
	other := newScript(t, "multiplexing")
	other.good()
	s.keyLogs["server/keys.log"] = s.keyLogs["client/keys.log"]
	s.keyLogs["client/keys.log"] = other.keyLogs["client/keys.log"]
	wantVerdict(t, s.judge(), Failed, "that client/keys.log decrypts")
}

func TestTruncatedLastPacketIsTolerated(t *testing.T) {
	s := newScript(t, "transfer")
	s.good()
	for i, name := range []string{leftTrace, rightTrace} {
		b := s.capture(kit.Side(i))
		s.traces[name] = b[:len(b)-21]
	}
	wantVerdict(t, s.judge(), Succeeded, "")
}

func TestUnreadableTraceIsTheReason(t *testing.T) {
	tests := []struct {
		name, trace, reason string
		content             []byte
	}{
		{name: "empty", trace: rightTrace, content: []byte{}, reason: "trace_node_right.pcap: is empty"},
		{name: "no capture", trace: rightTrace, content: []byte("hello world"), reason: "want a pcap or pcapng capture"},
		{name: "left one", trace: leftTrace, content: []byte{}, reason: "trace_node_left.pcap: is empty"},
	}
	for _, tc := range tests {
		s := newScript(t, "handshake")
		s.good()
		s.traces[tc.trace] = tc.content
		wantVerdict(t, s.judge(), Failed, tc.reason)
	}
}

func TestMissingDirectoriesAreAFailureAndNoPanic(t *testing.T) {
	for test := range cases {
		v := Judge(Input{Test: test, Dir: filepath.Join(t.TempDir(), "nowhere"), Files: []string{"a"}})
		if v.Result == Succeeded || v.Reason == "" || strings.Contains(v.Reason, "BUG") {
			t.Errorf("verdict on nothing at all for %s is %v", test, v)
		}
	}
}

func TestRunThatNamesNoFilesFails(t *testing.T) {
	s := newScript(t, "handshake")
	s.good()
	s.files = nil
	wantVerdict(t, s.judge(), Failed, "the run names no files to expect")
}

func TestSubdirectoriesOfDownloadsAreIgnored(t *testing.T) {
	s := newScript(t, "handshake")
	s.good()
	s.extra["cache/ticket"] = "x"
	wantVerdict(t, s.judge(), Succeeded, "")
}

func TestLinkToTheServedFileIsNoDownload(t *testing.T) {
	s := newScript(t, "handshake")
	s.good()
	s.files[1].got = ""
	s.judge()
	link := filepath.Join(s.in.Downloads, s.files[1].name)
	if err := os.Symlink(filepath.Join(s.in.WWW, s.files[1].name), link); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	wantVerdict(t, Judge(s.in), Failed, "other-file is missing")
}

func TestReasonNamesAFewOfManyWrongFiles(t *testing.T) {
	s := newScript(t, "transfer")
	s.good()
	for _, name := range []string{"a", "b", "c"} {
		s.extra[name] = name
	}
	s.files[0].got, s.files[1].got = "", ""
	wantVerdict(t, s.judge(), Failed, `one-file is missing; other-file is missing; "a" was not requested; and 2 more (of 2 files)`)
}

// TestDifferenceBeyondTheFirstBlockIsFound guards the arithmetic of the comparison.
func TestDifferenceBeyondTheFirstBlockIsFound(t *testing.T) {
	served := strings.Repeat("x", 200_000)
	for _, at := range []int{0, 65_535, 65_536, 131_072, 199_999} {
		s := newScript(t, "handshake")
		s.good()
		s.files[0].served, s.files[0].got = served, served[:at]+"y"+served[at+1:]
		if v := s.judge(); !strings.Contains(v.Reason, "differs at offset ") || !strings.Contains(v.Reason, strconv.Itoa(at)+" (it has 200000 bytes") {
			t.Errorf("difference at %d: verdict is %v", at, v)
		}
	}
}

func TestFirstBrokenCriterionIsTheReason(t *testing.T) {
	s := newScript(t, "handshake")
	s.good()
	s.files[0].got = "other"
	p := *s.find(kit.Server, wire.PacketInitial, 0)
	p.SCID, p.Number = []byte{1, 2}, 7
	s.send(&p)
	v := s.judge()
	if len(v.Evidence) != 2 || !strings.HasPrefix(v.Reason, filesArrived.name) || v.Evidence[1].Criterion != oneHandshake.name {
		t.Errorf("verdict is %v, want files as the reason and handshakes as the second evidence", v)
	}
}

func TestSucceededTransferHasFacts(t *testing.T) {
	s := newScript(t, "transfer")
	s.good()
	v := s.judge()
	// The server's 1-RTT packets are sent 2+15+2+15 ms apart and carry 13 bytes of files.
	want := map[string]string{
		"fact: handshakes": "1", "fact: version": "v1", "fact: cipher": "TLS_", "fact: round trip": "32.0ms", "fact: goodput": "0.00Mbit/s",
	}
	for _, e := range v.Evidence {
		if text, ok := want[e.Criterion]; ok && strings.Contains(e.Observed, text) && e.Packet > 0 && e.Trace != "" {
			delete(want, e.Criterion)
		}
	}
	if len(want) > 0 {
		t.Errorf("facts %v are missing or wrong in %v", want, v)
	}
}

func TestGoodputIsBytesOverTheTimeOfTheServersPackets(t *testing.T) {
	s := newScript(t, "transfer")
	s.good()
	s.judge()
	r := newRun(s.in)
	_, bits, ok := r.goodput()
	if want := 8 * 13 / 0.034; !ok || bits < want-0.001 || bits > want+0.001 {
		t.Errorf("goodput = %f, %v, want %f", bits, ok, want)
	}
}

// TestPacketsOfStrangersDoNotCount has a rebound client and another server in the trace.
func TestPacketsOfStrangersDoNotCount(t *testing.T) {
	s := newScript(t, "handshake")
	s.good()
	p := *s.find(kit.Server, wire.PacketInitial, 0)
	p.SCID, p.Version, p.Number = []byte{1, 2}, wire.Version2, 7
	s.send(&p).src = client6
	wantVerdict(t, s.judge(), Succeeded, "")
}

func TestNoPrefixOfATraceBreaksTheCheck(t *testing.T) {
	s := newScript(t, "retry")
	s.good()
	s.judge()
	for i, name := range []string{leftTrace, rightTrace} {
		whole := s.capture(kit.Side(i))
		for n := 0; n < len(whole); n += 37 {
			s.write(name, string(whole[:n]))
			if v := Judge(s.in); strings.Contains(v.Reason, "BUG") {
				t.Fatalf("%s cut to %d bytes: %v", name, n, v)
			}
		}
		s.write(name, string(whole))
	}
}
