package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed51309289/quiver/quic"
)

func TestShortSoakLeavesNothingBehind(t *testing.T) {
	var out, log bytes.Buffer
	code := run(t.Context(), []string{"-duration", "3s", "-conns", "20"}, &out, &log)
	t.Logf("%s", &out)
	if code != 0 || log.Len() > 0 || !strings.HasSuffix(out.String(), "\nok\n") {
		t.Errorf("exit status %d, want 0 and no word on standard error: %s", code, &log)
	}
}

func TestCommandLineIsChecked(t *testing.T) {
	for _, args := range [][]string{{"-conns", "0"}, {"-duration", "-1s"}, {"more"}, {"-what"}} {
		var log bytes.Buffer
		if code := run(t.Context(), args, &log, &log); code != 2 || log.Len() == 0 {
			t.Errorf("%q: exit status %d, want 2 and a reason", args, code)
		}
	}
	var log bytes.Buffer
	args := []string{"-duration", "1s", "-conns", "1", "-scenario", "sunshine"}
	if code := run(t.Context(), args, &bytes.Buffer{}, &log); code != 1 || !strings.Contains(log.String(), "sunshine") {
		t.Errorf("unknown scenario: exit status %d and %q, want 1 and its name", code, &log)
	}
}

func TestWhatIsLeftBehindIsAFault(t *testing.T) {
	had := gauge{goroutines: 10, fds: 5, heap: 1 << 20}
	for name, tt := range map[string]struct {
		now  gauge
		want string
	}{
		"all back":           {gauge{10, 5, 1 << 20}, ""},
		"heap within 2 MiB":  {gauge{10, 5, 3 << 20}, ""},
		"heap beyond":        {gauge{10, 5, 3<<20 + 1}, "heap of 3.0MiB, want at most 3.0MiB"},
		"a goroutine more":   {gauge{11, 5, 0}, "11 goroutines, want at most 10"},
		"a goroutine fewer":  {gauge{9, 5, 0}, ""}, // it was on its way out when stock was taken
		"a descriptor more":  {gauge{10, 6, 0}, "6 descriptors, want 5"},
		"a descriptor fewer": {gauge{10, 4, 0}, "4 descriptors, want 5"},
	} {
		if got := strings.Join(had.differences(tt.now), ", "); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
	var out, log bytes.Buffer
	s := &soak{tally: newTally(&log), out: &out}
	s.fault("%d descriptors", 6)
	if code := s.verdict(); code != 1 || !strings.Contains(out.String(), "FAIL: 1 fault") || log.String() != "soak: fault: 6 descriptors\n" {
		t.Errorf("verdict %d, %q, %q, want 1 and the fault", code, &out, &log)
	}
}

func TestWrongBytesAreFound(t *testing.T) {
	const size = 3*pieceSize + 5
	var sent bytes.Buffer
	if err := write(&sent, 7, size); err != nil {
		t.Fatal(err)
	}
	tally := newTally(&bytes.Buffer{})
	if err := tally.readAll(bytes.NewReader(sent.Bytes()), 7, size); err != nil || tally.bytes.Load() != size {
		t.Errorf("whole: %v, verified %d bytes, want %d", err, tally.bytes.Load(), size)
	}
	var short *lengthError
	if err := tally.readAll(bytes.NewReader(sent.Bytes()), 7, size-1); !errors.As(err, &short) {
		t.Errorf("a byte too many: %v", err)
	}
	if err := tally.readAll(bytes.NewReader(sent.Bytes()), 7, size+1); !errors.As(err, &short) || short.got != size {
		t.Errorf("a byte too few: %v", err)
	}
	for _, at := range []int{0, 7, 8, pieceSize, size - 1} {
		bad := bytes.Clone(sent.Bytes())
		bad[at] ^= 0x10
		var wrong *wrongError
		if err := tally.readAll(bytes.NewReader(bad), 7, size); !errors.As(err, &wrong) || wrong.off != uint64(at) {
			t.Errorf("byte %d is wrong: %v", at, err)
		}
	}
}

func TestOnlyTheScriptExplainsAnEnd(t *testing.T) {
	over, settled, dead := &life{kind: "link"}, &life{kind: rebinds}, &life{kind: "link", dead: true}
	over.over.Store(true)
	settled.settled.Store(true)
	lives := map[string]*life{"running": {kind: "link"}, "over": over, "dead": dead, "dark": {kind: goDarks},
		"moved early": {kind: rebinds}, "moved": settled, "unknown": nil}
	for _, tt := range []struct {
		cause error
		ok    string // lives in which it may happen
	}{
		{&quic.ApplicationError{Remote: true}, "over unknown"},
		{&quic.IdleTimeoutError{}, "over dead dark moved early unknown"},
		{&quic.HandshakeTimeoutError{}, "over dark moved early unknown"},
		{&quic.StatelessResetError{}, "over dead dark moved early unknown"},
		{&quic.NoViablePathError{}, "over unknown"},
		{&quic.TransportError{Code: applicationError, Remote: true}, "over unknown"},
		{&quic.TransportError{Code: applicationError}, ""},
		{&quic.TransportError{Code: invalidToken, Remote: true}, "over moved early unknown"},
		{&quic.TransportError{Code: 0xa, Remote: true}, ""}, // PROTOCOL_VIOLATION
		{context.Canceled, ""},
	} {
		for name, l := range lives {
			want := strings.Contains(" "+strings.ReplaceAll(tt.ok, "moved early", "early")+" ", " "+strings.TrimPrefix(name, "moved ")+" ")
			if _, ok := judge(l, tt.cause); ok != want {
				t.Errorf("%v in a connection that is %s: explained %v, want %v", tt.cause, name, ok, want)
			}
		}
	}
}

func TestConnectionThatEndsForNoReasonIsAFault(t *testing.T) {
	var log bytes.Buffer
	s := &soak{tally: newTally(&log), out: &bytes.Buffer{}, long: time.Second}
	s.ended("client", &life{id: 3, kind: "link"}, &quic.IdleTimeoutError{})
	if want := "soak: fault: connection 3 (link): client: ended by quic: idle timeout: no packet from the peer\n"; log.String() != want || s.faults.Load() != 1 {
		t.Errorf("got %q, want %q", log.String(), want)
	}
}
