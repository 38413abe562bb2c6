package cache

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/plugin/pack"
)

// index is what a cache holds. As a file it is text: a head with the SHA-256 of all that follows, then a line for each package:
//
//	quiver plugin cache 1 SHA256
//	DIGEST CRC SIZE ID VERSION
type index map[pack.Digest]record

// record is what the index knows of a package.
type record struct {
	id, version string
	size        int64
	sum         uint32 // of the whole file
}

// sumOf is what shows that a file is damaged where its digest does not look, in its signatures: against disks, not against people.
func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const (
	indexHead = "quiver plugin cache 1 "
	maxIndex  = 4 << 20 // bytes of an index that are read
)

func (c *Cache) indexPath() string { return filepath.Join(c.dir, "index") }

// known returns the index as it is on disk now; nobody may change it. It is read again only when the file is another one.
func (c *Cache) known() index {
	info, err := os.Stat(c.indexPath())
	if err != nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stamp == nil || !os.SameFile(info, c.stamp) || info.ModTime() != c.stamp.ModTime() || info.Size() != c.stamp.Size() {
		c.index, c.stamp = c.load(), info
	}
	return c.index
}

// load reads the index. One that is missing or damaged is empty.
func (c *Cache) load() index {
	info, err := os.Stat(c.indexPath())
	if err != nil || info.Size() > maxIndex {
		return index{}
	}
	text, err := os.ReadFile(c.indexPath())
	if err != nil {
		return index{}
	}
	return parseIndex(text)
}

func parseIndex(text []byte) index {
	head, lines, ok := bytes.Cut(text, []byte("\n"))
	if !ok || string(head) != indexHead+checksum(lines) {
		return index{}
	}
	known := index{}
	for line := range strings.Lines(string(lines)) {
		d, rec, ok := parseRecord(line)
		if !ok {
			return index{}
		}
		known[d] = rec
	}
	return known
}

func parseRecord(line string) (d pack.Digest, rec record, ok bool) {
	f := strings.Fields(line)
	if len(f) != 5 {
		return d, rec, false
	}
	d, ok1 := pack.ParseDigest(f[0])
	sum, err1 := strconv.ParseUint(f[1], 16, 32)
	size, err2 := strconv.ParseInt(f[2], 10, 64)
	return d, record{f[3], f[4], size, uint32(sum)}, ok1 && err1 == nil && err2 == nil
}

func (x index) text() []byte {
	var lines []byte
	for _, d := range slices.SortedFunc(maps.Keys(x), compareDigests) {
		rec := x[d]
		lines = fmt.Appendf(lines, "%v %08x %d %s %s\n", d, rec.sum, rec.size, rec.id, rec.version)
	}
	return append([]byte(indexHead+checksum(lines)+"\n"), lines...)
}

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func compareDigests(a, b pack.Digest) int { return bytes.Compare(a[:], b[:]) }

// save writes the index, under the lock. It need not survive a power failure: it can be made anew.
func (c *Cache) save(x index) error { return c.replace(c.indexPath(), x.text(), false) }

// reconcile brings index and directory together, under the lock: packages that the index does not know are read, those that are gone or
// damaged leave it, and what a killed process left half written is removed. It returns the index, and when each package was used last.
func (c *Cache) reconcile() (known index, used map[pack.Digest]time.Time, err error) {
	known, used = c.load(), map[pack.Digest]time.Time{}
	changed := false
	err = eachFile(c.packages(), func(path string, info fs.FileInfo) error {
		d, ok := digestOf(info.Name())
		switch {
		case !ok && strings.HasPrefix(info.Name(), temporary):
			os.Remove(path)
			return nil
		case !ok:
			return nil // not ours
		}
		if rec, ok := known[d]; !ok || rec.size != info.Size() {
			changed = true
			if rec, ok = c.recordOf(d); !ok {
				delete(known, d)
				os.Remove(path)
				return nil
			}
			known[d] = rec
		}
		used[d] = info.ModTime()
		return nil
	})
	for d := range known {
		if _, there := used[d]; !there {
			delete(known, d)
			changed = true
		}
	}
	if err == nil && changed {
		err = c.save(known)
	}
	c.sweep()
	return known, used, err
}

// sweep removes what a killed process left of an index.
func (c *Cache) sweep() {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), temporary) {
			os.Remove(filepath.Join(c.dir, e.Name()))
		}
	}
}

// digestOf returns the digest that a file is named for.
func digestOf(name string) (pack.Digest, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok {
		return pack.Digest{}, false
	}
	return pack.ParseDigest(digits)
}

// recordOf reads a package for the index.
func (c *Cache) recordOf(d pack.Digest) (record, bool) {
	p, err := c.read(d, nil)
	if err != nil {
		return record{}, false
	}
	return record{p.Manifest.ID, p.Manifest.Version, int64(len(p.Raw)), sumOf(p.Raw)}, true
}

// evict removes the packages used longest ago until the rest are within the bounds. keep stays.
func (c *Cache) evict(known index, used map[pack.Digest]time.Time, keep pack.Digest) {
	var bytes int64
	for _, rec := range known {
		bytes += rec.size
	}
	order := slices.SortedFunc(maps.Keys(known), func(a, b pack.Digest) int { return older(used[a], a, used[b], b) })
	for _, d := range order {
		if bytes <= c.MaxBytes && len(known) <= c.MaxPackages {
			return
		}
		if d == keep {
			continue
		}
		if err := os.Remove(c.path(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		bytes -= known[d].size
		delete(known, d)
	}
}

// older orders by last use; the digest breaks ties.
func older(a time.Time, x pack.Digest, b time.Time, y pack.Digest) int {
	return cmp.Or(a.Compare(b), compareDigests(x, y))
}

// trim removes the oldest native code beyond its bound. What an engine still needs it makes again.
func (c *Cache) trim() {
	type compiled struct {
		path string
		info fs.FileInfo
	}
	var all []compiled
	var bytes int64
	eachFile(c.Compiled(), func(path string, info fs.FileInfo) error {
		all = append(all, compiled{path, info})
		bytes += info.Size()
		return nil
	})
	slices.SortFunc(all, func(a, b compiled) int {
		return cmp.Or(a.info.ModTime().Compare(b.info.ModTime()), cmp.Compare(a.path, b.path))
	})
	for _, f := range all {
		if bytes <= c.MaxCompiled {
			return
		}
		if os.Remove(f.path) == nil {
			bytes -= f.info.Size()
		}
	}
}
