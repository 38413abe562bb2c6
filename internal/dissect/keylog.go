package dissect

import (
	"bytes"
	"encoding/hex"
)

// secrets are what a key log tells about one TLS session; nil = not there.
type secrets struct {
	early     []byte    // CLIENT_EARLY_TRAFFIC_SECRET
	handshake [2][]byte // by role: CLIENT_ and SERVER_HANDSHAKE_TRAFFIC_SECRET
	traffic   [2][]byte // by role: CLIENT_ and SERVER_TRAFFIC_SECRET_0
}

// keyLog holds the secrets of sessions by their client random.
type keyLog struct {
	sessions map[[32]byte]*secrets // limit: maxKeyLogLines
	lines    int
}

// add reads a key log in NSS format and ignores the lines that are none.
func (l *keyLog) add(text []byte) {
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) != 3 || l.lines >= maxKeyLogLines {
			continue
		}
		var random [32]byte
		if len(fields[1]) != 64 || len(fields[2]) > 128 {
			continue
		}
		if _, err := hex.Decode(random[:], fields[1]); err != nil {
			continue
		}
		secret := make([]byte, hex.DecodedLen(len(fields[2])))
		if _, err := hex.Decode(secret, fields[2]); err != nil || len(secret) == 0 {
			continue
		}
		l.lines++
		l.set(string(fields[0]), random, secret)
	}
}

func (l *keyLog) set(label string, random [32]byte, secret []byte) {
	if l.sessions == nil {
		l.sessions = make(map[[32]byte]*secrets)
	}
	s := l.sessions[random]
	if s == nil {
		s = &secrets{}
		l.sessions[random] = s
	}
	switch label {
	case "CLIENT_EARLY_TRAFFIC_SECRET":
		s.early = secret
	case "CLIENT_HANDSHAKE_TRAFFIC_SECRET":
		s.handshake[client] = secret
	case "SERVER_HANDSHAKE_TRAFFIC_SECRET":
		s.handshake[server] = secret
	case "CLIENT_TRAFFIC_SECRET_0":
		s.traffic[client] = secret
	case "SERVER_TRAFFIC_SECRET_0":
		s.traffic[server] = secret
	}
}
