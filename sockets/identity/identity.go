package identity

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/seed51309289/quiver/internal/known"
)

// Pin is the SHA-256 of a public key, or of a certificate. Its String is 64
// hexadecimal digits, as `quiver server` prints them.
type Pin = known.Pin

// ParsePin reads what Options.Pins takes: 64 hexadecimal digits, with or without
// "sha256:" before them.
func ParsePin(s string) (Pin, error) { return known.ParsePin(s) }

// System names the certificate authorities of this machine where Options take a
// file of them.
const System = "system"

// Options say who this end is and whom it trusts. The zero value is a key of
// this machine's own, and peers by pin.
type Options struct {
	// Protocols is what TLS negotiates (ALPN). At least one is needed.
	Protocols []string

	// StateDir is where keys, known hosts and sessions are. "" = $QUIVER_STATE_DIR;
	// else /var/lib/quiver for root, and for others $XDG_STATE_HOME/quiver or
	// ~/.local/state/quiver. If none of the latter can be written, everything is
	// for this process only, and Log is warned.
	StateDir string
	// Cert and Key are PEM files to use instead of this machine's own key.
	Cert, Key string

	// CA is a PEM file of authorities that vouch for peers, or System. With it, peers
	// are trusted by their certificates unless a rule says otherwise.
	CA string
	// ClientCA is the same for clients only. "" = CA.
	ClientCA string
	// Pins are those of the peers' keys or certificates, in the form of Pin. With
	// them no other peer is trusted by its key.
	Pins []string
	// KnownHosts is the file of keys that were seen. "" = known_hosts in the state
	// directory.
	KnownHosts string
	// Strict trusts no key at first sight: it must be in KnownHosts or Pins.
	Strict bool
	// Insecure trusts everybody, whatever else is said. For tests.
	Insecure bool

	// Allow is who may connect to our Server at all, as patterns of Peer.Matches.
	// nil = everybody; the rules for listeners then say who may do what.
	Allow []string

	// KeyLog is where TLS writes its secrets (SSLKEYLOGFILE). nil = nowhere.
	KeyLog io.Writer
	// Log is told at level Warn what the user should see, in whole sentences without
	// attributes: first contacts, no state directory, Insecure. nil = nobody.
	Log *slog.Logger

	now func() time.Time // nil = time.Now
}

// Identity is who this end is, and whom it trusts. Its methods are safe for
// concurrent use, also among processes that share a state directory.
type Identity struct {
	opts     Options
	log      *slog.Logger
	now      func() time.Time
	state    *state
	own      tls.Certificate
	pin      Pin
	pins     []Pin          // bounded by Options.Pins
	allow    []pattern      // bounded by Options.Allow
	roots    *x509.CertPool // for servers; nil = no CA
	clients  *x509.CertPool // for clients; nil = no CA
	hosts    *hosts
	sessions *sessions
	tickets  *ticketKeys
	chores   chores
}

// Load finds this machine's key, or makes it, and reads what Options name. Its
// errors are whole sentences; see Hint.
func Load(opts Options) (*Identity, error) {
	id := &Identity{opts: opts, log: opts.Log, now: opts.now}
	if id.log == nil {
		id.log = slog.New(slog.DiscardHandler)
	}
	if id.now == nil {
		id.now = time.Now
	}
	if err := id.checkOptions(); err != nil {
		return nil, err
	}
	var err error
	if id.state, err = findState(opts.StateDir, os.Getenv, os.Geteuid()); err != nil {
		return nil, err
	}
	if err := id.loadKey(); err != nil {
		return nil, err
	}
	id.hosts = newHosts(id.state, opts.KnownHosts)
	id.sessions = newSessions(id.state, id.now, &id.chores)
	id.tickets = newTicketKeys(id.state, id.now, &id.chores)
	id.warn()
	return id, nil
}

// checkOptions reads what Options say, but for keys and known hosts.
func (id *Identity) checkOptions() error {
	if len(id.opts.Protocols) == 0 {
		return errors.New("identity: no protocol to negotiate: Options.Protocols is empty")
	}
	if (id.opts.Cert == "") != (id.opts.Key == "") {
		return errors.New("a certificate and its key belong together, got one of them")
	}
	for _, s := range id.opts.Pins {
		pin, err := ParsePin(s)
		if err != nil {
			return err
		}
		id.pins = append(id.pins, pin)
	}
	for _, s := range id.opts.Allow {
		p, err := parsePattern(s)
		if err != nil {
			return err
		}
		id.allow = append(id.allow, p)
	}
	var err error
	if id.roots, err = loadRoots(id.opts.CA); err != nil {
		return err
	}
	id.clients = id.roots
	if id.opts.ClientCA != "" {
		id.clients, err = loadRoots(id.opts.ClientCA)
	}
	return err
}

// loadRoots returns the authorities of a file, nil for "".
func loadRoots(file string) (*x509.CertPool, error) {
	switch file {
	case "":
		return nil, nil
	case System:
		return x509.SystemCertPool()
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, &FileError{Path: file, Err: reason(err), hint: "name a PEM file with the certificates of authorities, or the word " + System}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(b) {
		return nil, &FileError{Path: file, Err: errors.New("no certificate in it, want PEM"), hint: "name a PEM file with the certificates of authorities, or the word " + System}
	}
	return roots, nil
}

// loadKey finds our own key, or makes it.
func (id *Identity) loadKey() (err error) {
	switch {
	case id.opts.Cert != "":
		id.own, err = loadPair(id.opts.Cert, id.opts.Key)
	case id.state.dir == "":
		id.own, err = makeKey(rand.Reader, id.now(), hostName())
	default:
		id.own, err = id.state.ownKey(id.now())
	}
	if err == nil {
		id.pin = known.KeyPin(id.own.Leaf)
	}
	return err
}

// warn says what weakens all that follows.
func (id *Identity) warn() {
	if id.opts.Insecure {
		id.log.Warn("INSECURE: nobody's key or certificate is checked, so anybody could be answering")
	}
	if id.state.dir != "" {
		return
	}
	lost := "peers that are met for the first time will be strangers again"
	if id.opts.Cert == "" {
		lost = "this end has another key in every run, which peers that remember keys will refuse, and " + lost
	}
	id.log.Warn(fmt.Sprintf("no directory for keys can be written (%s): %s; name one in $%s", id.state.why, lost, stateVar))
}

// Pin returns that of our own key: what peers remember of us.
func (id *Identity) Pin() Pin { return id.pin }

// StateDir returns the directory where everything is kept, "" if nothing is.
func (id *Identity) StateDir() string { return id.state.dir }

// Close waits until what was learned is on disk. The Identity can be used on.
func (id *Identity) Close() { id.chores.wait() }
