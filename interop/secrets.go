package interop

import (
	"bytes"
	"os"
	"path/filepath"

	"github.com/seed51309289/quiver/netsim"
)

// maxKeyLog bounds the key log that is read; one connection takes 2 KiB.
const maxKeyLog = 16 << 20

// keyLogMark begins the line that makes a key log useful.
var keyLogMark = []byte("SERVER_HANDSHAKE_TRAFFIC_SECRET ")

// embedSecrets puts the TLS secrets of the run into both traces, so that they open decrypted. The client's key log goes
// before the server's; the first that has a server handshake secret is used. Without one the traces stay as they are: the
// verdict does not need it, so no error is worth failing a run for.
func embedSecrets(dir string) {
	for _, role := range []string{RoleClient, RoleServer} {
		keylog, ok := readKeyLog(filepath.Join(dir, role, "keys.log"))
		if !ok {
			continue
		}
		for _, side := range []string{"left", "right"} {
			netsim.EmbedSecrets(filepath.Join(dir, "sim", "trace_node_"+side+".pcap"), keylog)
		}
		return
	}
}

func readKeyLog(path string) ([]byte, bool) {
	info, err := os.Lstat(path) // a peer may leave a link to anywhere
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxKeyLog {
		return nil, false
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, false
	}
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(line, keyLogMark) {
			return data, true
		}
	}
	return nil, false
}
