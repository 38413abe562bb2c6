package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// A status is an error that knows its exit status. A nil err is silent: everything was said already.
type status struct {
	code int
	err  error
	hint string
}

func (s *status) Error() string { return fmt.Sprint(s.err) }

func (s *status) Unwrap() error { return s.err }

// statusOf returns the status of any error; one that says nothing about it is a failure.
func statusOf(err error) *status {
	if s, ok := errors.AsType[*status](err); ok {
		return s
	}
	return &status{code: exitFailed, err: err}
}

// usage makes err a wrong usage of cmd.
func usage(cmd *cobra.Command, err error) error {
	return &status{exitUsage, err, fmt.Sprintf("see '%s --help'", cmd.CommandPath())}
}

// noArgs refuses positional arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("unexpected argument %q", args[0]))
	}
	return nil
}

// group makes cmd a command that only holds others: alone it shows its help, with an unknown name it lists them.
func group(cmd *cobra.Command, subs ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subs...)
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return usage(cmd, fmt.Errorf("unknown command %q; there are: %s", args[0], subNames(cmd)))
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	return cmd
}

func subNames(cmd *cobra.Command) string {
	var names string
	for _, s := range cmd.Commands() {
		if !s.IsAvailableCommand() {
			continue
		}
		if names != "" {
			names += ", "
		}
		names += s.Name()
	}
	return names
}
