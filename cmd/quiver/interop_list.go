package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/seed51309289/quiver/interop"
	"github.com/seed51309289/quiver/netsim"
	"github.com/spf13/cobra"
)

func newInteropList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [tests|implementations|scenarios]",
		Short: "List what can be run",
		Long: `List the tests and measurements that can be run (the default), the registered
implementations, or the scenarios of the network simulator.`,
		Example:   "  quiver interop list implementations --json",
		ValidArgs: []string{"tests", "implementations", "scenarios"},
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(cmd, errors.New("want one of tests, implementations, scenarios"))
			}
			return nil
		},
	}
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	registries := cmd.Flags().StringArray("registry", nil, "`FILE` with more implementations, laid over the built-in registry; repeatable")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what := "tests"
		if len(args) == 1 {
			what = args[0]
		}
		rows, err := listRows(cmd, what, *registries)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(cmd.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(rows)
		}
		return rows.print(cmd.OutOrStdout())
	}
	return cmd
}

// listing is a list that prints itself; as JSON it is an array of objects.
type listing interface{ print(w io.Writer) error }

func listRows(cmd *cobra.Command, what string, registries []string) (listing, error) {
	switch what {
	case "tests":
		return testList(), nil
	case "implementations":
		r, err := loadRegistry(registries)
		if err != nil {
			return nil, usage(cmd, err)
		}
		return implementationList(r), nil
	case "scenarios":
		return scenarioList(), nil
	}
	return nil, usage(cmd, fmt.Errorf("cannot list %q, want tests, implementations or scenarios", what))
}

type testRow struct {
	Name     string  `json:"name"`
	Abbr     string  `json:"abbr"`
	Desc     string  `json:"desc"`
	Scenario string  `json:"scenario"`
	Timeout  float64 `json:"timeout_seconds"`
	NeedKeys bool    `json:"needs_key_log"`  // without one the result is unsupported
	Runs     int     `json:"runs,omitempty"` // of a measurement: how many values its result is the mean of
	Extra    bool    `json:"extra"`          // the public interop runner does not have it
	Off      bool    `json:"off"`            // runs only when named
}

type testRows []testRow

func testList() testRows {
	var rows testRows
	for _, c := range interop.Cases() {
		rows = append(rows, testRow{c.Name, c.Abbr, c.Desc, c.Scenario, c.Timeout.Seconds(), c.NeedKeys, c.Runs, c.Extra, c.Off})
	}
	return rows
}

func (rows testRows) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TEST\tABBR\tWHAT IT SHOWS")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s\n", r.Name, r.Abbr, r.Desc)
	}
	return t.Flush()
}

type implementationRow struct {
	Name    string `json:"name"`
	Role    string `json:"role"`
	URL     string `json:"url"`
	Image   string `json:"image,omitempty"`
	Program bool   `json:"program"` // can run without a container
}

type implementationRows []implementationRow

func implementationList(r *interop.Registry) implementationRows {
	var rows implementationRows
	for _, i := range r.All() {
		rows = append(rows, implementationRow{i.Name, i.Role, i.URL, i.Image, i.Exec != nil})
	}
	return rows
}

func (rows implementationRows) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "IMPLEMENTATION\tROLE\tRUNS AS\tHOME")
	for _, r := range rows {
		as := "image only"
		if r.Program {
			as = "program"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.Name, r.Role, as, r.URL)
	}
	return t.Flush()
}

type scenarioRow struct {
	Name  string `json:"name"`
	Usage string `json:"usage"`
	Text  string `json:"text"`
}

type scenarioRows []scenarioRow

func scenarioList() scenarioRows {
	var rows scenarioRows
	for _, s := range netsim.Scenarios() {
		rows = append(rows, scenarioRow{s.Name, s.Usage, s.Text})
	}
	return rows
}

func (rows scenarioRows) print(w io.Writer) error {
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%s\n    %s\n", r.Usage, r.Text); err != nil {
			return err
		}
	}
	return nil
}
