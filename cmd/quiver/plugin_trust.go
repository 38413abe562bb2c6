package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed51309289/quiver/hook"
	"github.com/seed51309289/quiver/plugin/pack"
	"github.com/spf13/cobra"
)

func newPluginTrust() *cobra.Command {
	return group(&cobra.Command{
		Use:   "trust",
		Short: "Say whose plugins may run here, and what they may do",
		Long: `The trust file says which authors may sign which plugins, and what those may do at most. It decides
about plugins that a peer offers. Without the file nobody is trusted.`,
		Example: `  quiver plugin trust add author.key.pub --name alice --id 'org.example.*'
  quiver plugin trust list`,
	},
		newTrustAdd(),
		newTrustPin(),
		newTrustList(),
		newTrustRemove(),
	)
}

// ceilingFlags say what a plugin may do at most.
type ceilingFlags struct {
	permissions []string
	payload     bool
}

func (c *ceilingFlags) add(cmd *cobra.Command, otherwise string) {
	cmd.Flags().StringSliceVar(&c.permissions, "permission", nil, "`NAMES` of what plugins may ask for, comma-separated: "+strings.Join(permissionNames(), ", ")+" ("+otherwise+")")
	cmd.Flags().BoolVar(&c.payload, "payload", false, "plugins may see what packets carry")
}

func permissionNames() []string {
	var names []string
	for _, p := range hook.Permissions() {
		names = append(names, p.String())
	}
	return names
}

func (c *ceilingFlags) ceiling() (out pack.Ceiling, err error) {
	out.Payload = c.payload
	for _, name := range c.permissions {
		p, ok := hook.ParsePermission(name)
		if !ok {
			return out, fmt.Errorf("--permission %q, want some of %s", name, strings.Join(permissionNames(), ", "))
		}
		out.Permissions |= p
	}
	return out, nil
}

func newTrustAdd() *cobra.Command {
	var trust trustFlag
	var ceiling ceilingFlags
	cmd := &cobra.Command{
		Use:   "add KEY --name NAME --id PATTERN",
		Short: "Trust the plugins that an author signs",
		Long: `Trust plugins that the holder of KEY signed: a file with a public key, or the key itself. What was
said of the key before is forgotten. PATTERN is the id of a plugin, or "org.example.*" for all
below org.example, or "*".`,
		Example: `  quiver plugin trust add author.key.pub --name alice --id 'org.example.*' --permission reserve,timer`,
		Args:    wantArgs("KEY"),
	}
	f := cmd.Flags()
	f.SortFlags = false
	name := f.String("name", "", "`NAME` of the author")
	ids := f.StringSlice("id", nil, "ids of plugins that the author may sign, as a `PATTERN`; repeatable")
	ceiling.add(cmd, "default none")
	expires := f.String("expires", "", "trust the key until `DATE`, as in 2027-01-31 (default for ever)")
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k := pack.TrustedKey{Name: *name, IDs: *ids}
		var err error
		switch {
		case *name == "":
			return usage(cmd, errors.New("--name is missing"))
		case len(*ids) == 0:
			return usage(cmd, errors.New("--id is missing: which plugins may the author sign?"))
		}
		if k.Ceiling, err = ceiling.ceiling(); err != nil {
			return usage(cmd, err)
		}
		if k.Expires, err = parseDate(*expires); err != nil {
			return usage(cmd, err)
		}
		if k.Key, err = publicKey(args[0]); err != nil {
			return err
		}
		return changeTrust(cmd, &trust, func(t *pack.Trust) (string, error) {
			t.TrustKey(k)
			return fmt.Sprintf("Trusting %s, key %s, with %s.", k.Name, k.Key.ID(), strings.Join(k.IDs, ", ")), nil
		})
	}
	return cmd
}

// parseDate reads the day on whose end trust ends; "" is never.
func parseDate(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return t, fmt.Errorf("--expires %q, want a date such as 2027-01-31", s)
	}
	return t.AddDate(0, 0, 1), nil
}

// publicKey reads a key from an argument: itself, or the name of its file.
func publicKey(arg string) (pack.PublicKey, error) {
	if k, ok := pack.ParsePublicKey(arg); ok {
		return k, nil
	}
	return pack.ReadPublicKey(arg)
}

func newTrustPin() *cobra.Command {
	var trust trustFlag
	cmd := &cobra.Command{
		Use:   "pin FILE.wasm",
		Short: "Trust one version of one plugin, whoever signed it",
		Long: `Let exactly this plugin run, with the permissions that it declares. That is the only way for a
plugin that a peer offers to hand in packets of its own ("recovered").`,
		Example:           `  quiver plugin trust pin fec --note 'read on 1 May'`,
		Args:              wantArgs("FILE.wasm"),
		ValidArgsFunction: completePlugin,
	}
	note := cmd.Flags().String("note", "", "remember `WHY`")
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p, err := readPlugin(args[0])
		if err != nil {
			return err
		}
		return changeTrust(cmd, &trust, func(t *pack.Trust) (string, error) {
			t.Pin(pack.Pin{Digest: p.Digest, Ceiling: pack.GrantAll(p).Ceiling, Note: *note})
			return fmt.Sprintf("Pinned %s %s, %s, with %s.", p.Manifest.ID, p.Manifest.Version, p.Digest, ceilingText(pack.GrantAll(p).Ceiling)), nil
		})
	}
	return cmd
}

func newTrustList() *cobra.Command {
	var trust trustFlag
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List whom the trust file trusts",
		Example: "  quiver plugin trust list --json",
		Args:    noArgs,
	}
	asJSON := cmd.Flags().Bool("json", false, "print the file")
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		t, err := trust.load()
		if err != nil {
			return err
		}
		if *asJSON {
			_, err := cmd.OutOrStdout().Write(t.Text())
			return err
		}
		return listTrust(cmd, t)
	}
	return cmd
}

func listTrust(cmd *cobra.Command, t *pack.Trust) error {
	if len(t.Keys)+len(t.Pins)+len(t.Validators) == 0 {
		fmt.Fprintln(cmd.ErrOrStderr(), "Nobody is trusted.")
		return nil
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tKEY OR DIGEST\tPLUGINS\tMAY USE\tUNTIL")
	for i := range t.Keys {
		k := &t.Keys[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.Name, k.Key.ID(), strings.Join(k.IDs, ","), ceilingText(k.Ceiling), untilText(k.Expires))
	}
	for i := range t.Pins {
		p := &t.Pins[i]
		fmt.Fprintf(w, "pin %s\t%s\tthis one\t%s\tever\n", p.Note, p.Digest, ceilingText(p.Ceiling))
	}
	for i := range t.Validators {
		v := &t.Validators[i]
		fmt.Fprintf(w, "validator %s\t%s\t\t\t%s\n", v.Name, v.Key.ID(), untilText(v.Expires))
	}
	for i := range t.Require {
		fmt.Fprintf(w, "required\t%s by %s\n", t.Require[i].Claim, t.Require[i].By)
	}
	return w.Flush()
}

func ceilingText(c pack.Ceiling) string {
	var words []string
	for _, p := range hook.Permissions() {
		if c.Permissions&p != 0 {
			words = append(words, p.String())
		}
	}
	if c.Payload {
		words = append(words, "payload")
	}
	if words == nil {
		return "no permissions"
	}
	return strings.Join(words, ",")
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return "ever"
	}
	return t.UTC().Format(time.RFC3339)
}

func newTrustRemove() *cobra.Command {
	var trust trustFlag
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "Trust an author or a pinned plugin no more",
		Long:    `Forget what the trust file says of NAME: the name of an author, the id of a key, a key, or the digest of a pinned plugin.`,
		Example: "  quiver plugin trust remove alice",
		Args:    wantArgs("NAME"),
	}
	trust.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return changeTrust(cmd, &trust, func(t *pack.Trust) (string, error) {
			n := t.Forget(args[0])
			if n == 0 {
				return "", fmt.Errorf("the trust file says nothing of %q; 'quiver plugin trust list' lists it", args[0])
			}
			return fmt.Sprintf("Forgot %d.", n), nil
		})
	}
	return cmd
}

// changeTrust lets change change the trust file, and says what it did.
func changeTrust(cmd *cobra.Command, flag *trustFlag, change func(*pack.Trust) (string, error)) error {
	path, err := flag.file()
	if err != nil {
		return err
	}
	t, err := pack.LoadTrust(path)
	if err != nil {
		return err
	}
	did, err := change(t)
	if err != nil {
		return err
	}
	_, err = os.Stat(path)
	fresh := os.IsNotExist(err)
	if err := t.Save(path); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), did)
	if fresh {
		fmt.Fprintf(cmd.ErrOrStderr(), "Made %s.\n", path)
	}
	return nil
}
