package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/nats-io/nkeys"
	"github.com/urfave/cli/v3"
)

func (p *program) nkeyCommand() *cli.Command {
	return &cli.Command{Name: "nkey", Usage: "make a key of an agent, a hub or a reader, and print its public part", ArgsUsage: "FILE", Action: func(_ context.Context, c *cli.Command) error {
		if c.Args().Len() != 1 || c.Args().First() == "" {
			return usageError{errors.New("the seed needs one file: fleet nkey FILE")}
		}
		public, err := newKey(c.Args().First())
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(p.stdout, public)
		return err
	}}
}

// newKey writes the seed of a new user to a file that is not there yet, and returns the public key.
func newKey(path string) (string, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	defer pair.Wipe()
	public, err := pair.PublicKey()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	if err != nil {
		return "", err
	}
	return public, writeSeed(path, append(seed, '\n'))
}

// writeSeed writes a file for its owner alone. One that is there stays as it is: its key may be in use.
func writeSeed(path string, seed []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usageError{fmt.Errorf("%s is there already, and may have a key that is in use: name another file", path)}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(seed)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path)) // half a seed is of no use
	}
	return nil
}
