//go:build !unix

package cache

import (
	"fmt"
	"io/fs"
	"sync"
)

var one sync.Mutex

// lock keeps the other goroutines of this process from changing a cache. Other processes are not kept out: of two that write, the last one's index
// stays, and is brought together with the files on the next change.
func (c *Cache) lock() (unlock func(), err error) {
	one.Lock()
	return one.Unlock, nil
}

// private refuses what is no directory; whose it is cannot be told here.
func private(dir string, info fs.FileInfo) error {
	if !info.IsDir() {
		return fmt.Errorf("plugin cache: %s is no directory", dir)
	}
	return nil
}
