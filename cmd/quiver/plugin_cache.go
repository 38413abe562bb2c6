package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/seed51309289/quiver/plugin/cache"
	"github.com/spf13/cobra"
)

func newPluginCache() *cobra.Command {
	cmd := group(&cobra.Command{
		Use:   "cache",
		Short: "Look at the plugins that peers have sent, or forget them",
		Long: `Plugins that peers send are kept, by digest, so that they travel once; native code made of them is
kept beside them. Those used longest ago make room for new ones.`,
		Example: "  quiver plugin cache list",
	},
		newCacheList(),
		newCacheClear(),
		newCachePath(),
	)
	return cmd
}

// cacheFlag is --cache of the commands that look into the cache.
type cacheFlag struct{ dir string }

func (c *cacheFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.dir, "cache", "", "`DIR` of the cache (default $XDG_CACHE_HOME/quiver/plugins)")
}

func (c *cacheFlag) path() (string, error) {
	if c.dir != "" {
		return c.dir, nil
	}
	return cache.DefaultDir()
}

// open opens the cache; nil = there is none yet, and looking must not make one.
func (c *cacheFlag) open() (*cache.Cache, error) {
	dir, err := c.path()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(dir); os.IsNotExist(err) && c.dir == "" {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return cache.Open(dir, cache.Options{})
}

func newCacheList() *cobra.Command {
	var flag cacheFlag
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the plugins in the cache, those used last first",
		Example: "  quiver plugin cache list",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flag.open()
			if err != nil {
				return err
			}
			var entries []cache.Entry
			if c != nil {
				if entries, err = c.List(); err != nil {
					return err
				}
			}
			if len(entries) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "The cache is empty.")
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PLUGIN\tVERSION\tSIZE\tUSED\tDIGEST")
			for _, e := range entries {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.ID, e.Version, sizeText(e.Size), e.Used.Format("2006-01-02 15:04"), e.Digest)
			}
			return w.Flush()
		},
	}
	flag.add(cmd)
	return cmd
}

func newCacheClear() *cobra.Command {
	var flag cacheFlag
	cmd := &cobra.Command{
		Use:     "clear",
		Short:   "Forget all plugins that peers have sent",
		Example: "  quiver plugin cache clear",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := flag.open()
			if err != nil {
				return err
			}
			var done cache.Cleared
			if c != nil {
				if done, err = c.Clear(); err != nil {
					return err
				}
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "Removed %d plugins and %d files of native code, %s.\n", done.Packages, done.Compiled, sizeText(done.Bytes))
			return nil
		},
	}
	flag.add(cmd)
	return cmd
}

func newCachePath() *cobra.Command {
	var flag cacheFlag
	cmd := &cobra.Command{
		Use:     "path",
		Short:   "Print the directory of the cache",
		Example: "  quiver plugin cache path",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := flag.path()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), dir)
			return err
		},
	}
	flag.add(cmd)
	return cmd
}
