package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
)

// ErrMissing is returned for a package that is not in the cache, or that was damaged.
var ErrMissing = errors.New("plugin is not in the cache")

// What a cache holds unless [Options] say otherwise.
const (
	defaultBytes    = 64 << 20  // limit: bytes of packages
	defaultPackages = 256       // limit: packages
	defaultCompiled = 256 << 20 // limit: bytes of native code
)

// Options bound a cache. The zero value is 256 packages of together 64 MiB, and 256 MiB of native code.
type Options struct {
	MaxBytes    int64 // of packages
	MaxPackages int
	MaxCompiled int64 // bytes of native code

	now func() time.Time // for tests
}

// A Cache is a directory of packages. It is safe for concurrent use.
type Cache struct {
	dir string
	Options

	mu    sync.Mutex  // guards index and stamp
	index index       // as it was read last; nobody changes it
	stamp fs.FileInfo // of the file that it was read from

	writes atomic.Uint64 // numbers temporary files
}

// An Entry is a package in a cache.
type Entry struct {
	Digest      pack.Digest
	ID, Version string
	Size        int64     // bytes
	Used        time.Time // last
}

// DefaultDir returns where plugins are kept unless someone says otherwise: quiver/plugins in the user's cache directory.
func DefaultDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no directory to keep plugins in: %w; set XDG_CACHE_HOME or name a directory", err)
	}
	return filepath.Join(dir, "quiver", "plugins"), nil
}

// Open opens the cache in dir, which it makes if need be. It refuses a directory that other users could write.
func Open(dir string, o Options) (*Cache, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.MaxPackages == 0 {
		o.MaxPackages = defaultPackages
	}
	if o.MaxCompiled == 0 {
		o.MaxCompiled = defaultCompiled
	}
	if o.now == nil {
		o.now = time.Now
	}
	c := &Cache{dir: abs, Options: o}
	return c, c.prepare()
}

// prepare makes the directories that are missing, and looks at those that are there.
func (c *Cache) prepare() error {
	for _, dir := range []string{c.dir, c.packages(), c.Compiled()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return c.readOnly(err)
		}
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if err := private(dir, info); err != nil {
			return err
		}
	}
	return nil
}

// readOnly says that something could not be written.
func (c *Cache) readOnly(err error) error {
	return fmt.Errorf("plugin cache %s cannot be written: %w; make it writable, or name another directory", c.dir, err)
}

func (c *Cache) packages() string { return filepath.Join(c.dir, "sha256") }

// path returns where a package is. A digest has no separators, and there is no other way to name one.
func (c *Cache) path(d pack.Digest) string { return filepath.Join(c.packages(), d.String()+suffix) }

const suffix = ".wasm"

// Dir returns the directory of the cache.
func (c *Cache) Dir() string { return c.dir }

// Compiled returns the directory in which the host may keep native code, and what it was made from.
func (c *Cache) Compiled() string { return filepath.Join(c.dir, "compiled") }

// Get returns a package and notes its use. The error is [ErrMissing], or says why the file cannot be read.
func (c *Cache) Get(d pack.Digest) (*pack.Package, error) {
	p, err := c.read(d, c.known())
	if err == nil {
		now := c.now()
		os.Chtimes(c.path(d), now, now) // in a read-only cache nothing is evicted either
		return p, nil
	}
	if !errors.Is(err, errDamaged) {
		return nil, err
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged, and stays so: %w", ErrMissing, d, err)
	}
	defer unlock()
	// While nobody else writes: another process may have replaced file and index since.
	p, err = c.read(d, c.load())
	if !errors.Is(err, errDamaged) {
		return p, err
	}
	if err := os.Remove(c.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is damaged, and stays so: %w", ErrMissing, d, err)
	}
	return nil, fmt.Errorf("%w: %s was damaged and has been removed", ErrMissing, d)
}

var errDamaged = errors.New("file is damaged")

// read reads a package and compares it with its digest, and the whole file, signatures and all, with the index if it is there.
func (c *Cache) read(d pack.Digest, known index) (*pack.Package, error) {
	b, err := readFile(c.path(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrMissing
	case err != nil:
		return nil, err
	}
	p, err := pack.Read(d.String()[:12]+suffix, b, 0)
	if err != nil || p.Digest != d {
		return nil, errDamaged
	}
	if e, ok := known[d]; ok && e.sum != sumOf(b) {
		return nil, errDamaged
	}
	return p, nil
}

// readFile reads a file that may be anything.
func readFile(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > pack.MaxSize {
		return nil, nil // which is no package
	}
	return os.ReadFile(path)
}

// Put stores the package b, over one with the same digest and other signatures, and makes room for it. It is on disk when Put returns. An
// error is that of [pack.Read], or says why nothing could be written.
//
// Whether the package may run is not asked here. Store what came from a peer after it was judged: else the peer decides which signatures the
// cache keeps.
func (c *Cache) Put(b []byte) (Entry, error) {
	p, err := pack.Read("", b, 0)
	if err != nil {
		return Entry{}, err
	}
	if int64(len(b)) > c.MaxBytes {
		return Entry{}, fmt.Errorf("plugin cache %s: %s has %d bytes, more than all that it may hold, which is %d", c.dir, p.Manifest.ID, len(b), c.MaxBytes)
	}
	if err := c.prepare(); err != nil {
		return Entry{}, err
	}
	unlock, err := c.lock()
	if err != nil {
		return Entry{}, c.readOnly(err)
	}
	defer unlock()
	known, files, err := c.reconcile()
	if err != nil {
		return Entry{}, c.readOnly(err)
	}
	rec := record{p.Manifest.ID, p.Manifest.Version, int64(len(b)), sumOf(b)}
	if err := c.store(p.Digest, b, rec, known); err != nil {
		return Entry{}, c.readOnly(err)
	}
	known[p.Digest], files[p.Digest] = rec, c.now()
	c.evict(known, files, p.Digest)
	c.trim()
	if err := c.save(known); err != nil {
		return Entry{}, c.readOnly(err)
	}
	return Entry{p.Digest, rec.id, rec.version, rec.size, files[p.Digest]}, nil
}

// store writes the file of a package, unless it is there already.
func (c *Cache) store(d pack.Digest, b []byte, rec record, known index) error {
	path, now := c.path(d), c.now()
	if old, err := readFile(path); err == nil && bytes.Equal(old, b) {
		return os.Chtimes(path, now, now)
	}
	if old, ok := known[d]; ok && old.sum != rec.sum {
		// Should this process die before the index is written again, the new file must not look damaged.
		delete(known, d)
		if err := c.save(known); err != nil {
			return err
		}
	}
	if err := c.replace(path, b, true); err != nil {
		return err
	}
	return os.Chtimes(path, now, now)
}

// temporary begins the names of files that are not whole yet.
const temporary = ".new-"

// replace writes a file so that a reader sees all of it or what was there before. A durable one is on disk when replace returns.
func (c *Cache) replace(path string, b []byte, durable bool) error {
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf("%s%d-%d", temporary, os.Getpid(), c.writes.Add(1)))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		os.Remove(temp)
		return err
	}
	if durable {
		syncDir(filepath.Dir(path))
	}
	return nil
}

// syncDir puts a rename on disk. Not every file system can; the file is whole either way.
func syncDir(dir string) {
	if f, err := os.Open(dir); err == nil {
		f.Sync()
		f.Close()
	}
}

// List returns all packages, those used last first.
func (c *Cache) List() ([]Entry, error) {
	unlock, err := c.lock()
	if err != nil {
		return nil, c.readOnly(err)
	}
	defer unlock()
	known, files, err := c.reconcile()
	if err != nil {
		return nil, err
	}
	list := make([]Entry, 0, len(known))
	for d, rec := range known {
		list = append(list, Entry{d, rec.id, rec.version, rec.size, files[d]})
	}
	slices.SortFunc(list, func(a, b Entry) int { return -older(a.Used, a.Digest, b.Used, b.Digest) })
	return list, nil
}

// Find returns the packages of one plugin, those used last first. An empty version means every version. Several packages may have one
// version: only the digest says which is which.
func (c *Cache) Find(id, version string) ([]Entry, error) {
	list, err := c.List()
	return slices.DeleteFunc(list, func(e Entry) bool { return e.ID != id || version != "" && e.Version != version }), err
}

// Remove forgets a package. The error is [ErrMissing], or says why it cannot be removed.
func (c *Cache) Remove(d pack.Digest) error {
	unlock, err := c.lock()
	if err != nil {
		return c.readOnly(err)
	}
	defer unlock()
	switch err := os.Remove(c.path(d)); {
	case errors.Is(err, fs.ErrNotExist):
		return ErrMissing
	case err != nil:
		return c.readOnly(err)
	}
	known := c.load()
	delete(known, d)
	return c.save(known)
}

// Cleared is what [Cache.Clear] removed.
type Cleared struct {
	Packages int
	Compiled int   // files of native code, and of what it was made from
	Bytes    int64 // of both
}

// Clear removes all packages and all native code. Directories stay, since an engine may be using them.
func (c *Cache) Clear() (done Cleared, err error) {
	unlock, err := c.lock()
	if err != nil {
		return done, c.readOnly(err)
	}
	defer unlock()
	err = errors.Join(
		eachFile(c.packages(), func(path string, info fs.FileInfo) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			done.Packages++
			done.Bytes += info.Size()
			return nil
		}),
		eachFile(c.Compiled(), func(path string, info fs.FileInfo) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			done.Compiled++
			done.Bytes += info.Size()
			return nil
		}),
		c.save(index{}),
	)
	if err != nil {
		return done, c.readOnly(err)
	}
	return done, nil
}

// eachFile calls do with every file below dir. What disappears meanwhile is left out.
func eachFile(dir string, do func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				err = do(path, info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}
