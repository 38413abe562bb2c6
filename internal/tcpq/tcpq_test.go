package tcpq

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/seed51309289/quiver/internal/wire"
)

type vector struct {
	name, kind, meaning string
	in                  []byte
}

func vectors(tb testing.TB) (list []vector) {
	tb.Helper()
	text, err := os.ReadFile("testdata/vectors.txt")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "|")
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		in, err := hex.DecodeString(strings.ReplaceAll(f[2], " ", ""))
		if err != nil || len(f) != 4 {
			tb.Fatalf("vector %q: %v", line, err)
		}
		list = append(list, vector{f[0], f[1], f[3], in})
	}
	return list
}

// meaning writes what ParseOpen returned as testdata does.
func meaning(o Open, n int, err error) string {
	var bad *MalformedError
	switch {
	case errors.Is(err, ErrShort):
		return fmt.Sprintf("short by %d", n)
	case errors.As(err, &bad) && bad.What == "OPEN":
		return bad.Why
	case err != nil:
		return "error of an unknown kind: " + err.Error()
	}
	s := fmt.Sprintf("dest=%v", o.Dest)
	if o.Source.IsValid() {
		s += fmt.Sprintf(" source=%v", o.Source)
	}
	if o.Flags != 0 {
		s += fmt.Sprintf(" flags=%d", o.Flags)
	}
	if o.Name != "" {
		s += " name=" + o.Name
	}
	return s
}

func TestOpenVectors(t *testing.T) {
	for _, v := range vectors(t) {
		o, n, err := ParseOpen(append(bytes.Clone(v.in), 0xaa))
		if got := meaning(o, n, err); got != v.meaning {
			t.Errorf("%s: ParseOpen(%x) = %s, want %s", v.name, v.in, got, v.meaning)
		}
		if (v.kind == "bad") != (err != nil && err != ErrShort) {
			t.Errorf("%s: error %v, want one only of what is bad", v.name, err)
		}
		if err == nil && n != len(v.in) {
			t.Errorf("%s: takes %d bytes, want %d", v.name, n, len(v.in))
		}
		if v.kind == "open" {
			if b := AppendOpen([]byte{7}, &o); !bytes.Equal(b[1:], v.in) {
				t.Errorf("%s: AppendOpen = %x, want %x", v.name, b[1:], v.in)
			}
		}
	}
}

// TestOpenIsReadWithoutWhatFollows reads as a stream's reader does: just as many
// bytes as are said to be missing.
func TestOpenIsReadWithoutWhatFollows(t *testing.T) {
	for _, v := range vectors(t) {
		var b []byte
		for range len(v.in) + 1 {
			_, n, err := ParseOpen(b)
			if err != ErrShort {
				break
			}
			if n < 1 {
				t.Fatalf("%s: ParseOpen(%x) misses %d bytes", v.name, b, n)
			}
			if len(b)+n > len(v.in) {
				if v.kind != "bad" {
					t.Fatalf("%s: ParseOpen(%x) wants %d more, which is past the end", v.name, b, n)
				}
				break
			}
			b = v.in[:len(b)+n]
		}
	}
}

func TestEachPrefixOfAnOpenIsShort(t *testing.T) {
	for _, v := range vectors(t) {
		if v.kind == "bad" {
			continue
		}
		for i := range v.in {
			if _, n, err := ParseOpen(v.in[:i]); err != ErrShort || n < 1 || n > len(v.in)-i {
				t.Errorf("%s: ParseOpen of %d of %d bytes = %d, %v, want ErrShort and how many are missing", v.name, i, len(v.in), n, err)
			}
		}
	}
}

func TestFlippedBitsOfAnOpenNeverPanic(t *testing.T) {
	for _, v := range vectors(t) {
		for i := range len(v.in) * 8 {
			b := bytes.Clone(v.in)
			b[i/8] ^= 1 << (i % 8)
			checkOpen(t, b)
		}
	}
}

// checkOpen holds what is true of all bytes.
func checkOpen(t *testing.T, b []byte) {
	t.Helper()
	o, n, err := ParseOpen(b)
	var bad *MalformedError
	switch {
	case err == ErrShort:
		if n < 1 || len(b)+n > MaxOpen {
			t.Fatalf("ParseOpen(%x) misses %d bytes, want 1 or more and at most %d in all", b, n, MaxOpen)
		}
	case err != nil:
		if !errors.As(err, &bad) {
			t.Fatalf("ParseOpen(%x): %v, want a *MalformedError", b, err)
		}
	default:
		if n > len(b) || !o.Dest.IsValid() || o.Dest.Port() == 0 {
			t.Fatalf("ParseOpen(%x) = %+v, %d", b, o, n)
		}
		again, m, err := ParseOpen(AppendOpen(nil, &o))
		if err != nil || again != o || m == 0 {
			t.Fatalf("%+v written and read is %+v, %v", o, again, err)
		}
	}
}

func TestOpenIsBounded(t *testing.T) {
	dest := AppendOpen(nil, &Open{Dest: netip.MustParseAddrPort("127.0.0.1:80")})[3:]
	unknown := func(n int) []byte {
		body := bytes.Clone(dest)
		for range n {
			body = append(body, 0x30, 0)
		}
		return append(wire.AppendVarint([]byte{typeOpen}, uint64(len(body))), body...)
	}
	if _, _, err := ParseOpen(unknown(maxFields - 1)); err != nil {
		t.Errorf("%d fields: %v, want none", maxFields, err)
	}
	if _, _, err := ParseOpen(unknown(maxFields)); err == nil || !strings.Contains(err.Error(), "fields") {
		t.Errorf("%d fields: %v, want an error", maxFields+1, err)
	}
	full := append(bytes.Clone(dest), 0x30)
	full = wire.AppendVarint(full, uint64(maxOpen-len(full)-2))
	full = append(full, make([]byte, maxOpen-len(full))...)
	b := append(wire.AppendVarint([]byte{typeOpen}, maxOpen), full...)
	if _, n, err := ParseOpen(b); err != nil || n != len(b) || n > MaxOpen {
		t.Errorf("OPEN of %d bytes: %d, %v", maxOpen, n, err)
	}
	long := strings.Repeat("a", maxName)
	if !ValidName(long) || ValidName(long+"a") || ValidName("") || ValidName("a b") || ValidName("é") {
		t.Error("ValidName: want 1 to 253 letters, digits, dots, hyphens, underscores")
	}
	o := Open{Dest: netip.MustParseAddrPort("127.0.0.1:80"), Name: long}
	if got, _, err := ParseOpen(AppendOpen(nil, &o)); err != nil || got != o {
		t.Errorf("longest name: %v", err)
	}
}

func TestAddressesOnTheWireHaveOneForm(t *testing.T) {
	o := Open{Dest: netip.MustParseAddrPort("[::ffff:10.1.2.3]:80"), Source: netip.MustParseAddrPort("[fe80::1%eth0]:81")}
	got, _, err := ParseOpen(AppendOpen(nil, &o))
	want := Open{Dest: netip.MustParseAddrPort("10.1.2.3:80"), Source: netip.MustParseAddrPort("[fe80::1]:81")}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v: no mapped address, no zone", got, err, want)
	}
}

func TestStatusComesBackAsItWasWritten(t *testing.T) {
	for s := Accepted; s <= Elsewhere+60; s++ {
		port := uint16(0)
		if s == Elsewhere {
			port = 8277
		}
		b := AppendStatus(nil, s, port)
		for i := range b {
			if _, _, n, err := ParseStatus(b[:i]); err != ErrShort || n < 1 || n > len(b)-i {
				t.Errorf("%v cut to %d bytes: %d, %v, want ErrShort", s, i, n, err)
			}
		}
		got, gotPort, n, err := ParseStatus(append(b, 0xaa))
		if got != s || gotPort != port || n != len(b) || n > MaxStatus || err != nil {
			t.Errorf("%v comes back as %v, port %d, %d bytes, %v", s, got, gotPort, n, err)
		}
		if s.Known() != (s <= Elsewhere) || s.String() == "" {
			t.Errorf("%v: known %v", s, s.Known())
		}
	}
	if got := hex.EncodeToString(AppendStatus(nil, Elsewhere, 8277)); got != "082055" {
		t.Errorf("elsewhere = %s, want 082055", got)
	}
	if _, _, _, err := ParseStatus([]byte{8, 0, 0}); err == nil || err == ErrShort {
		t.Errorf("elsewhere at port 0: %v, want an error", err)
	}
}

func TestStatusAndCodesHaveWords(t *testing.T) {
	for got, want := range map[string]string{
		Accepted.String(): "accepted", Elsewhere.String(): "elsewhere", Status(99).String(): "refused, status 99",
		CodeText(CodeTimeout): "timed out", CodeText(77): "reset, code unknown",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.in)
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkOpen(t, b) })
}

func FuzzStatus(f *testing.F) {
	f.Add([]byte{0})
	f.Add([]byte{8, 0x20, 0x55})
	f.Add([]byte{0xc0, 0, 0, 0, 0, 0, 0, 8, 1, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, port, n, err := ParseStatus(b)
		switch {
		case err == ErrShort:
			if n < 1 || len(b)+n > MaxStatus {
				t.Fatalf("ParseStatus(%x) misses %d bytes", b, n)
			}
		case err == nil:
			if again, p, _, err := ParseStatus(AppendStatus(nil, s, port)); again != s || p != port || err != nil {
				t.Fatalf("%v %d written and read is %v %d, %v", s, port, again, p, err)
			}
		}
	})
}
