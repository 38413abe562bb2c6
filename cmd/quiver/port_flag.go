package main

import (
	"errors"
	"strconv"
)

// portFlag is the value of a flag that names a port. 0 = none was named.
type portFlag uint16

// String returns the port, "" if there is none.
func (p *portFlag) String() string {
	if *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

// Set takes a port as it was given.
func (p *portFlag) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return errors.New("want a port from 1 to 65535")
	}
	*p = portFlag(n)
	return nil
}

// Type is the word that help shows.
func (p *portFlag) Type() string { return "port" }
