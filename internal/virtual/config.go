package virtual

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/internal/core"
	"github.com/seed51309289/quiver/internal/crypt"
	"github.com/seed51309289/quiver/internal/recovery"
	"github.com/seed51309289/quiver/internal/wire"
	"github.com/seed51309289/quiver/netsim"
)

// DefaultConfig is what a side runs with unless Options.Config changes it; TLS is
// left to the caller. Its chance comes from the seed.
func DefaultConfig(seed uint64, side netsim.Side) core.Config {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	key[31] = byte(side) + 1
	random := rand.NewChaCha8(key)
	var reset crypt.ResetKey
	random.Read(reset[:])
	cubic, _ := Congestion("cubic")
	return core.Config{
		Rand:             random,
		Versions:         []wire.Version{wire.Version1, wire.Version2},
		IdleTimeout:      60 * time.Second,
		HandshakeTimeout: 120 * time.Second,
		StreamWindow:     256 << 10, MaxStreamWindow: 6 << 20,
		ConnWindow: 512 << 10, MaxConnWindow: 15 << 20,
		SendBuffer: 256 << 10, MaxSendBuffer: 8 << 20,
		MaxStreamsBidi: 100, MaxStreamsUni: 100,
		Congestion: cubic,
		MaxMTU:     1452,
		ResetKey:   &reset,
	}
}

// Congestion returns what core.Config.Congestion wants for a built-in controller. The
// error says which there are.
func Congestion(name string) (func(mss int) hook.Congestion, error) {
	if _, err := recovery.New(name, 1200); err != nil {
		return nil, err
	}
	return func(mss int) hook.Congestion {
		cc, _ := recovery.New(name, mss) // the name is known
		return cc
	}, nil
}

// RouterConfig returns what the router in front of cfg's connections wants, and
// gives cfg a key for address tokens.
func RouterConfig(cfg *core.Config, side netsim.Side) core.RouterConfig {
	var token [32]byte
	cfg.Rand.Read(token[:])
	key := crypt.NewTokenKey(token)
	cfg.TokenKey = &key
	return core.RouterConfig{
		Accept: side == netsim.Right, Versions: cfg.Versions, Rand: cfg.Rand,
		ResetKey: cfg.ResetKey, TokenKey: key,
	}
}
