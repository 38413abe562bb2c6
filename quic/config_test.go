package quic

import (
	"strings"
	"testing"
	"time"
)

func TestValidateNamesEveryWrongField(t *testing.T) {
	c := &Config{
		Versions: []Version{Version1, 2}, FirstVersion: Version2, Congestion: "vegas",
		MaxDatagramSize: 1199, L4S: true,
		Limits: Limits{
			InitialStreamReceiveWindow: 2 << 20, MaxStreamReceiveWindow: 1 << 20, MaxConnectionReceiveWindow: 1 << 61,
			SendBuffer: 2, MaxSendBuffer: 1, MaxIncomingStreams: 1<<60 + 1, MaxIncomingUniStreams: 1<<60 + 1,
		},
	}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Versions: got 0x00000002, want v1 or v2", "FirstVersion: got v2", "vegas", "cubic", "newreno", "InitialStreamReceiveWindow: got 2097152", "MaxConnectionReceiveWindow: got 2305843009213693952", "SendBuffer: got 2",
		"MaxIncomingStreams:", "MaxIncomingUniStreams:", "MaxDatagramSize: got 1199", "L4S: got true",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %q, want %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "%!") {
		t.Errorf("got %q, which is badly formatted", err)
	}
}

func TestValidateTakesWhatIsRight(t *testing.T) {
	for _, c := range []*Config{
		nil, {}, {Congestion: "newreno"}, {Versions: []Version{0x1a2a3a4a, Version1}}, {FirstVersion: Version2}, {Versions: []Version{Version2}}, {Limits: Limits{InitialStreamReceiveWindow: 100 << 20}},
		{Limits: Limits{MaxStreamReceiveWindow: 1000}}, {MaxDatagramSize: -1}, {MaxIdleTimeout: -1, HandshakeTimeout: -1, Limits: Limits{MaxIncomingStreams: -1, Backlog: -1}},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: got %v, want no error", c, err)
		}
	}
}

func TestZeroIsTheDefaultAndNegativeIsOff(t *testing.T) {
	for _, test := range []struct{ in, want time.Duration }{{0, time.Minute}, {-1, 0}, {5, 5}} {
		if got := orDefault(test.in, time.Minute); got != test.want {
			t.Errorf("orDefault(%v) = %v, want %v", test.in, got, test.want)
		}
	}
}

func TestWindowsNeverContradictEachOther(t *testing.T) {
	for _, test := range []struct{ first, most, wantFirst, wantMost uint64 }{
		{0, 0, 10, 100}, {200, 0, 200, 200}, {0, 5, 5, 5}, {7, 50, 7, 50},
	} {
		first, most := windows(test.first, test.most, 10, 100)
		if first != test.wantFirst || most != test.wantMost {
			t.Errorf("windows(%d, %d) = %d, %d, want %d, %d", test.first, test.most, first, most, test.wantFirst, test.wantMost)
		}
	}
}
