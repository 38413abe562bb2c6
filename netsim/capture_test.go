package netsim

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// traced is one packet of a trace as pcapgo reads it back.
type traced struct {
	at    time.Time
	frame []byte
	notes []string
}

func readTrace(t *testing.T, path string) []traced {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var list []traced
	for {
		frame, info, options, err := r.ReadPacketDataWithOptions()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("packet %d of %s: %v", len(list)+1, path, err)
		}
		list = append(list, traced{info.Timestamp, frame, options.Comments})
	}
}
