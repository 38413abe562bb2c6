package wire

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// fullParams sets every parameter to something that is not its default.
func fullParams() Params {
	return Params{
		OriginalDCID: []byte{1, 2, 3}, InitialSCID: []byte{}, RetrySCID: bytes.Repeat([]byte{4}, 20),
		ResetToken: &[16]byte{15: 9}, MaxIdleTimeout: 30 * time.Second, MaxUDPPayload: 1452,
		MaxData: 1 << 20, MaxStreamLocal: 1 << 16, MaxStreamRemote: 1<<16 + 1, MaxStreamUni: MaxVarint,
		MaxStreamsBidi: MaxStreams, MaxStreamsUni: 3,
		AckDelayExponent: 20, MaxAckDelay: 16383 * time.Millisecond, DisableMigration: true, ActiveConnIDLimit: 4,
		Preferred:        &PreferredAddress{V4: netip.MustParseAddrPort("192.0.2.1:443"), V6: netip.MustParseAddrPort("[2001:db8::1]:8443"), ConnID: []byte{7, 7}, ResetToken: [16]byte{1}},
		MaxDatagramFrame: 65535, ResetStreamAt: true, MinAckDelay: 0,
		Versions: &VersionInformation{Chosen: Version2, Available: AppendVersions(nil, 0x1a2a3a4a, Version2)}, GreaseQUICBit: true,
		Plugins: PluginParams{Version: PluginVersion, MaxControl: 1 << 14, Accepts: true},
	}
}

func TestParamsComeBackAsTheyWereWritten(t *testing.T) {
	bare := DefaultParams()
	v4only := fullParams()
	v4only.Preferred = &PreferredAddress{V4: netip.MustParseAddrPort("192.0.2.1:443"), ConnID: make([]byte, 20)}
	v6only := fullParams()
	v6only.Preferred = &PreferredAddress{V6: netip.MustParseAddrPort("[2001:db8::1]:443"), ConnID: []byte{1}}
	for name, want := range map[string]Params{"defaults": bare, "all": fullParams(), "preferred IPv4 alone": v4only, "preferred IPv6 alone": v6only} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseParams(AppendParams(nil, &want), true)
			if err != nil {
				t.Fatal(err)
			}
			if !same(flat(got), flat(&want)) {
				t.Errorf("comes back as %+v\nwant %+v", flat(got), flat(&want))
			}
			if (got.InitialSCID == nil) != (want.InitialSCID == nil) {
				t.Error("an absent connection ID and an empty one are not told apart")
			}
		})
	}
	if b := AppendParams(nil, &bare); len(b) != 0 {
		t.Errorf("defaults take %x, want nothing", b)
	}
}

// flat makes the pointers of p comparable.
func flat(p *Params) any {
	c := *p
	token, preferred, versions := c.ResetToken, c.Preferred, c.Versions
	c.ResetToken, c.Preferred, c.Versions = nil, nil, nil
	out := []any{c}
	if versions != nil {
		out = append(out, *versions)
	}
	if token != nil {
		out = append(out, *token)
	}
	if preferred != nil {
		out = append(out, *preferred)
	}
	return out
}

func TestAbsentParamsHaveTheDefaultsOfTheRFC(t *testing.T) {
	p, err := ParseParams(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	// RFC 9000 §18.2.
	if p.MaxUDPPayload != 65527 || p.AckDelayExponent != 3 || p.MaxAckDelay != 25*time.Millisecond || p.ActiveConnIDLimit != 2 || p.MaxIdleTimeout != 0 || p.MaxData != 0 || p.InitialSCID != nil ||
		p.MaxDatagramFrame != 0 || p.ResetStreamAt || p.MinAckDelay >= 0 { // RFC 9221 §3 and the drafts: absent means no
		t.Errorf("ParseParams(nothing) = %+v", p)
	}
}

func TestParamsOwnTheirMemory(t *testing.T) {
	p := fullParams()
	b := AppendParams(nil, &p)
	got, err := ParseParams(b, true)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !same(flat(got), flat(&p)) {
		t.Errorf("after its input was overwritten: %+v", flat(got))
	}
}

func TestParamsRefuse(t *testing.T) {
	const token16 = "000102030405060708090a0b0c0d0e0f"
	preferred := func(id string) string {
		return "c0000201 01bb 20010db8000000000000000000000001 01bb" + id + token16
	}
	for _, tc := range []struct {
		name       string
		in         string
		fromClient bool
		id         uint64
		reason     string
	}{
		{name: "plugins in two integers", in: "af1c9a41 03 01 44b0", id: 0x2f1c9a41, reason: "not three integers"},
		{name: "plugins in four integers", in: "af1c9a41 05 01 44b0 01 01", id: 0x2f1c9a41, reason: "not three integers"},
		{name: "plugins of version 0", in: "af1c9a41 04 00 44b0 01", id: 0x2f1c9a41, reason: "has version 0"},
		{name: "plugins with small control frames", in: "af1c9a41 04 01 44af 01", id: 0x2f1c9a41, reason: "of 1199 bytes, want at least 1200"},
		{name: "twice the same", in: "04 01 05  04 01 05", id: 4, reason: "sent twice"},
		{name: "twice the same unknown", in: "1b 00 01 01 05 1b 00", id: 0x1b, reason: "sent twice"},
		{name: "original ID from a client", in: "00 01 aa", fromClient: true, id: 0, reason: "only a server"},
		{name: "reset token from a client", in: "02 10" + token16, fromClient: true, id: 2, reason: "only a server"},
		{name: "preferred address from a client", in: "0d 2a" + preferred("01 aa"), fromClient: true, id: 0x0d, reason: "only a server"},
		{name: "Retry ID from a client", in: "10 01 aa", fromClient: true, id: 0x10, reason: "only a server"},
		{name: "max_udp_payload_size of 1199", in: "03 02 44 af", id: 3, reason: "is 1199, want at least 1200"},
		{name: "ack_delay_exponent of 21", in: "0a 01 15", id: 0x0a, reason: "is 21, want at most 20"},
		{name: "max_ack_delay of 2^14", in: "0b 04 80 00 40 00", id: 0x0b, reason: "is 16384 ms, want less than 16384"},
		{name: "initial_max_streams_bidi above 2^60", in: "08 08 d0 00 00 00 00 00 00 01", id: 8, reason: "2^60"},
		{name: "initial_max_streams_uni above 2^60", in: "09 08 d0 00 00 00 00 00 00 01", id: 9, reason: "2^60"},
		{name: "active_connection_id_limit of 1", in: "0e 01 01", id: 0x0e, reason: "is 1, want at least 2"},
		{name: "an integer that is too long", in: "04 02 05 00", id: 4, reason: "not one integer"},
		{name: "an integer that is too short", in: "04 01 40", id: 4, reason: "not one integer"},
		{name: "an integer that is absent", in: "04 00", id: 4, reason: "not one integer"},
		{name: "disable_active_migration with a value", in: "0c 01 00", id: 0x0c, reason: "want none"},
		{name: "connection ID of 21 bytes", in: "0f 15 000102030405060708090a0b0c0d0e0f1011121314", id: 0x0f, reason: "at most 20"},
		{name: "reset token of 15 bytes", in: "02 0f" + token16[2:], id: 2, reason: "want 16"},
		{name: "preferred address without an ID", in: "0d 29" + preferred("00"), id: 0x0d, reason: "connection ID of 0 bytes"},
		{name: "preferred address with an ID of 21", in: "0d 3e" + preferred("15 000102030405060708090a0b0c0d0e0f1011121314"), id: 0x0d, reason: "connection ID of 21 bytes"},
		{name: "preferred address with a byte too many", in: "0d 2b" + preferred("01 aa") + "00", id: 0x0d, reason: "wrong size"},
		{name: "preferred address cut", in: "0d 05 c000020101", id: 0x0d, reason: "wrong size"},
		{name: "reset_stream_at with a value", in: "1d 01 00", id: 0x1d, reason: "want none"},
		{name: "reset_stream_at of older drafts with a value", in: "c017f7586d2cb571 01 00", id: 0x17f7586d2cb571, reason: "want none"},
		{name: "min_ack_delay above the default of max_ack_delay", in: "c0000000ff04de1b 04 800061a9", id: 0xff04de1b, reason: "want at most max_ack_delay"},
		{name: "min_ack_delay above max_ack_delay", in: "c0000000ff04de1b 02 43e9 0b 01 01", id: 0xff04de1b, reason: "is 1.001ms, want at most max_ack_delay, which is 1ms"},
		{name: "max_datagram_frame_size that is absent", in: "20 00", id: 0x20, reason: "not one integer"},
		{name: "version_information without a version", in: "11 00", id: 0x11, reason: "one at least"},
		{name: "version_information with half a version", in: "11 06 00000001 0000", id: 0x11, reason: "4 for each"},
		{name: "chosen version 0", in: "11 08 00000000 00000001", id: 0x11, reason: "version 0"},
		{name: "available version 0", in: "11 0c 00000001 00000001 00000000", id: 0x11, reason: "version 0"},
		{name: "a client's chosen version is not available", in: "11 08 00000001 6b3343cf", fromClient: true, id: 0x11, reason: "not among"},
		{name: "grease_quic_bit with a value", in: "6ab2 01 00", id: 0x2ab2, reason: "want none"},
		{name: "an ID without a length", in: "04", id: 4, reason: "truncated"},
		{name: "a length beyond the end", in: "04 05 01", id: 4, reason: "truncated"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseParams(unhex(t, tc.in), !tc.fromClient)
			var pe *ParamError
			if !errors.As(err, &pe) || pe.ID != tc.id || !strings.Contains(pe.Reason, tc.reason) {
				t.Errorf("ParseParams(%s) = %v, want parameter %#x: …%s…", tc.in, err, tc.id, tc.reason)
			}
		})
	}
}

func TestParamsAtTheirLimitsAreAccepted(t *testing.T) {
	for _, in := range []string{
		"03 02 44 b0", "0a 01 14", "0b 02 7f ff", "08 08 d0 00 00 00 00 00 00 00", "0e 01 02", "0f 00", "01 08 ff ff ff ff ff ff ff ff", "20 08 ff ff ff ff ff ff ff ff", "c0000000ff04de1b 02 43e8 0b 01 01", "c0000000ff04de1b 04 800061a8", "04 02 40 05",
	} {
		if _, err := ParseParams(unhex(t, in), false); err != nil {
			t.Errorf("ParseParams(%s) = %v, want it accepted", in, err)
		}
	}
}

func TestResetStreamAtIsKnownByTheNumberOfEveryDraft(t *testing.T) {
	for _, in := range []string{"1d 00", "c017f7586d2cb571 00", "1d 00 c017f7586d2cb571 00"} {
		if p, err := ParseParams(unhex(t, in), false); err != nil || !p.ResetStreamAt {
			t.Errorf("ParseParams(%s) = %+v, %v, want reset_stream_at", in, p, err)
		}
	}
}

func TestUnknownParamsAreIgnored(t *testing.T) {
	// A reserved one (31*N+27), one of an extension, one that is known, one with no value.
	in := unhex(t, "1b 03 aabbcc  80ff04de 01 00  04 01 07  405a 00")
	p, err := ParseParams(in, false)
	if err != nil || p.MaxData != 7 {
		t.Errorf("ParseParams = %+v, %v, want the one known parameter, 7", p, err)
	}
}

func TestGreaseIsSentAndIgnored(t *testing.T) {
	p := DefaultParams()
	p.Grease = 31*1000 + 27
	b := AppendParams(nil, &p)
	if id, _ := ConsumeVarint(b); id != p.Grease {
		t.Errorf("AppendParams wrote %x, want the reserved parameter", b)
	}
	if _, err := ParseParams(b, false); err != nil {
		t.Error(err)
	}
}

func TestParamsAreLimitedInNumber(t *testing.T) {
	many := func(n int) []byte {
		var b []byte
		for i := range n {
			b = append(AppendVarint(b, uint64(31*i+27)), 0)
		}
		return b
	}
	if _, err := ParseParams(many(maxParams), false); err != nil {
		t.Errorf("%d parameters: %v, want them accepted", maxParams, err)
	}
	var pe *ParamError
	if _, err := ParseParams(many(maxParams+1), false); !errors.As(err, &pe) || !strings.Contains(pe.Reason, "more than 64") {
		t.Errorf("%d parameters: %v, want a refusal that names the limit", maxParams+1, err)
	}
}

func TestParamsCutAnywhereAreTruncatedOrWhole(t *testing.T) {
	p := fullParams()
	b := AppendParams(nil, &p)
	ends := map[int]bool{0: true}
	for at := 0; at < len(b); {
		_, n := ConsumeVarint(b[at:])
		size, m := ConsumeVarint(b[at+n:])
		at += n + m + int(size)
		ends[at] = true
	}
	cut(b, func(prefix []byte) {
		_, err := ParseParams(prefix, true)
		var pe *ParamError
		switch {
		case ends[len(prefix)] && err != nil:
			t.Errorf("cut between parameters, at %d: %v", len(prefix), err)
		case !ends[len(prefix)] && (!errors.As(err, &pe) || pe.Reason != "truncated"):
			t.Errorf("cut inside a parameter, at %d: %v, want truncated", len(prefix), err)
		}
	})
	flip(b, func(_ int, changed []byte) {
		var pe *ParamError
		if _, err := ParseParams(changed, true); err != nil && !errors.As(err, &pe) {
			t.Errorf("error %v is not a *ParamError", err)
		}
	})
}

func TestServerMayChooseAVersionThatItDoesNotList(t *testing.T) {
	// RFC 9368 §3: it may be about to give the version up, or list none.
	for _, in := range []string{"11 04 00000001", "11 08 00000001 6b3343cf"} {
		p, err := ParseParams(unhex(t, in), true)
		if err != nil || p.Versions.Chosen != Version1 || p.Versions.Available.Contains(Version1) {
			t.Errorf("ParseParams(%s) = %+v, %v", in, p, err)
		}
	}
}

func TestVersionsAreCompatibleWithThemselvesAndEachOther(t *testing.T) {
	const reserved = Version(0x1a2a3a4a)
	for _, tc := range []struct {
		a, b Version
		want bool
	}{
		{Version1, Version1, true}, {Version1, Version2, true}, {Version2, Version1, true},
		{Version1, reserved, false}, {reserved, Version2, false}, {reserved, reserved, true},
	} {
		if got := tc.a.CompatibleWith(tc.b); got != tc.want {
			t.Errorf("RFC 9369 §4: %v compatible with %v: %v, want %v", tc.a, tc.b, got, tc.want)
		}
	}
}
