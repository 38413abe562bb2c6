package identity

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

const (
	// maxHostsFile is what a file of known hosts may grow to.
	maxHostsFile = 1 << 20 // limit: bytes, more than 10,000 peers
	// maxUnwritten is how many first contacts are remembered that cannot be written.
	maxUnwritten = 1024 // limit: peers
)

// hosts is the file of known hosts and what is known of it in memory.
type hosts struct {
	path string // "" = nothing is written

	files sync.Mutex // held while the file is read or written; before mu

	mu        sync.Mutex                // guards all below; a leaf
	known     map[netip.AddrPort][]Host // bounded by maxHostsFile
	unwritten []Host                    // limit: maxUnwritten
	stamp     fileStamp                 // of what was read
}

// fileStamp tells whether a file changed.
type fileStamp struct {
	at   time.Time
	size int64
}

func newHosts(s *state, path string) *hosts {
	if path == "" && s.dir != "" {
		path = filepath.Join(s.dir, "known_hosts")
	}
	return &hosts{path: path}
}

// lookup returns what is known of a peer, from memory.
func (h *hosts) lookup(peer netip.AddrPort) []Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	list := h.known[peer]
	for _, u := range h.unwritten {
		if u.Peer == peer {
			list = append(slices.Clip(list), u)
		}
	}
	return list
}

// load reads the file if it changed. One that is not there is empty.
func (h *hosts) load() error {
	if h.path == "" {
		return nil
	}
	h.files.Lock()
	defer h.files.Unlock()
	info, err := os.Stat(h.path)
	if errors.Is(err, os.ErrNotExist) {
		h.set(nil, fileStamp{})
		return nil
	}
	if err != nil {
		return h.wrong(err)
	}
	stamp := fileStamp{info.ModTime(), info.Size()}
	h.mu.Lock()
	same := h.stamp == stamp
	h.mu.Unlock()
	if same {
		return nil
	}
	file, err := os.Open(h.path)
	if err != nil {
		return h.wrong(err)
	}
	defer file.Close()
	list, err := h.read(file)
	if err == nil {
		h.set(list, stamp)
	}
	return err
}

// read reads and parses the file.
func (h *hosts) read(file *os.File) ([]Host, error) {
	text, err := readAtMost(file, maxHostsFile)
	if err != nil {
		return nil, h.wrong(err)
	}
	return ParseHosts(h.path, text)
}

func (h *hosts) wrong(err error) error {
	return &FileError{Path: h.path, Err: reason(err), hint: "mend the file of known hosts, or name another one"}
}

func (h *hosts) set(list []Host, stamp fileStamp) {
	known := make(map[netip.AddrPort][]Host, len(list))
	for _, k := range list {
		known[k.Peer] = append(known[k.Peer], k)
	}
	h.mu.Lock()
	h.known, h.stamp = known, stamp
	h.mu.Unlock()
}

// learn remembers a first contact, once among all processes. If another process
// was faster, its key counts: another one than ours is a *PinMismatchError.
func (h *hosts) learn(k Host, log *slog.Logger) error {
	h.files.Lock()
	defer h.files.Unlock()
	if list := h.lookup(k.Peer); len(list) > 0 {
		return mismatch(list, k, h.path)
	}
	if h.path == "" {
		h.keep(k)
		log.Warn(fmt.Sprintf("first contact with %v: its key is %s, which cannot be remembered", k.Peer, k.Key.Tagged()))
		return nil
	}
	list, err := h.add(k)
	if len(list) > 0 {
		return mismatch(list, k, h.path)
	}
	if _, broken := errors.AsType[*FileError](err); broken {
		return err
	}
	if err != nil {
		h.keep(k)
		log.Warn(fmt.Sprintf("first contact with %v: its key is %s, which cannot be remembered in %s: %v", k.Peer, k.Key.Tagged(), h.path, reason(err)))
		return nil
	}
	log.Warn(fmt.Sprintf("first contact with %v: its key is %s, remembered in %s", k.Peer, k.Key.Tagged(), h.path))
	return nil
}

// mismatch compares what a peer showed with what is known of it.
func mismatch(list []Host, seen Host, path string) error {
	e := &PinMismatchError{Peer: seen.Peer, Seen: seen.Key, Since: list[0].Since, File: path, Line: list[0].Line}
	for _, k := range list {
		if k.Key == seen.Key {
			return nil
		}
		e.Known = append(e.Known, k.Key)
	}
	if e.Line == 0 {
		e.File = ""
	}
	return e
}

// keep remembers in memory what cannot be written.
func (h *hosts) keep(k Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.unwritten = append(h.unwritten, k); len(h.unwritten) > maxUnwritten {
		h.unwritten = h.unwritten[1:]
	}
}

// add appends a line, or returns what others have written of the peer since. A
// FileError says that the file is broken, any other error that it cannot be
// written.
func (h *hosts) add(k Host) (others []Host, err error) {
	file, err := os.OpenFile(h.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close() // and unlocks
	if err := lockFile(file); err != nil {
		return nil, errors.New(err.Error())
	}
	list, err := h.read(file)
	if err != nil {
		return nil, err
	}
	h.set(list, fileStamp{}) // the next load reads what is written now
	if others := h.lookup(k.Peer); len(others) > 0 {
		return others, nil
	}
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text, err := newLine(file, size, k)
	if err != nil {
		return nil, err
	}
	if size+int64(len(text)) > maxHostsFile {
		return nil, fmt.Errorf("it would have more than %d bytes", maxHostsFile)
	}
	if _, err := file.WriteString(text); err != nil {
		return nil, err
	}
	return nil, h.reread(file)
}

// newLine returns what to append to a file of that size.
func newLine(file *os.File, size int64, k Host) (string, error) {
	if size == 0 {
		return hostsHead + k.String() + "\n", nil
	}
	last := make([]byte, 1)
	if _, err := file.ReadAt(last, size-1); err != nil {
		return "", err
	}
	if last[0] != '\n' {
		return "\n" + k.String() + "\n", nil
	}
	return k.String() + "\n", nil
}

// reread takes over the file with the new line, which has a number now.
func (h *hosts) reread(file *os.File) error {
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	list, err := h.read(file)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	h.set(list, fileStamp{info.ModTime(), info.Size()})
	return nil
}
