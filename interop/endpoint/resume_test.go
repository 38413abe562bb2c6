package endpoint

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestZeroRTTCaseAsksForManyFilesInEarlyData(t *testing.T) {
	files, names := map[string]string{}, []string{}
	for i := range 40 {
		name := strings.Repeat(string(rune('a'+i%26)), 249-i)
		files[name] = strings.Repeat("x", 32)
		names = append(names, name)
	}
	w := newWorld(t, files)
	code, said := w.play(t, "zerortt", names...)
	if code != ExitOK {
		t.Fatalf("client exits with %d, want 0: %s", code, said)
	}
	for _, name := range names {
		if got, err := os.ReadFile(filepath.Join(w.downloads, name)); err != nil || string(got) != files[name] {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	keys, err := os.ReadFile(filepath.Join(w.certs, "keys.log"))
	if err != nil || bytes.Count(keys, []byte("CLIENT_EARLY_TRAFFIC_SECRET ")) != 1 {
		t.Errorf("key log: %v, %q, want one secret of early data", err, keys)
	}
}

func TestResumingCaseNeedsTwoFiles(t *testing.T) {
	w := newWorld(t, map[string]string{"a": "1"})
	if code, said := w.play(t, "resumption", "a"); code != ExitFailed || !strings.Contains(said, "1 URLs: want one for the first connection") {
		t.Errorf("exit code %d, %s, want 1 and why", code, said)
	}
}
