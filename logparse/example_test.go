package logparse_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/acmeauthz/acmeauthz/logparse"
)

func ExampleURLs() {
	const text = `Sending POST request to https://acme-v02.api.letsencrypt.org/acme/authz/2756587904/624828527796:
urllib3.connectionpool:https://acme-v02.api.letsencrypt.org:443 "POST /acme/authz/2756587904/624828527796 HTTP/1.1" 200 825
  "finalize": "https://acme-v02.api.letsencrypt.org/acme/finalize/2756587904/449418779304",
  "url": "https://acme-v02.api.letsencrypt.org/acme/chall/2756587904/624828527811/b_Vs1A",
{\"authorizations\":[\"https:\/\/ca.example\/any\/thing?id=7\"]}
`
	for url, err := range logparse.URLs(strings.NewReader(text)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(url)
	}
	// Output:
	// https://acme-v02.api.letsencrypt.org/acme/authz/2756587904/624828527796
	// https://acme-v02.api.letsencrypt.org/acme/authz/2756587904/624828527811
	// https://ca.example/any/thing?id=7
}

func ExampleFiles() {
	logs := os.DirFS("testdata/certbot/rotated-by-logrotate/logs/letsencrypt")
	for url, err := range logparse.Files(logs, "letsencrypt.log*") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(url)
	}
	// Output:
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335615
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335663
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335648
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335698
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335696
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335716
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335751
	// https://acme-v02.api.letsencrypt.org/acme/authz/2601524293/637926335784
}

func ExampleScanner() {
	const text = "authz https://ca.example/acme/authz/1/2\nchallenge https://ca.example/acme/chall/1/2/b_Vs1A\n"
	s := logparse.NewScanner(strings.NewReader(text))
	for s.Scan() {
		m := s.Match()
		fmt.Printf("%s at byte %d\n", m.URL, m.Offset)
	}
	if err := s.Err(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// https://ca.example/acme/authz/1/2 at byte 6
	// https://ca.example/acme/authz/1/2 at byte 50
}

// uacmeLog is what uacme -v writes when it is killed while a hook runs.
const uacmeLog = `uacme: version 1.7.4 starting on Mon, 23 Nov 2026 21:06:21 +0000
uacme: account location: https://ca.example/acme/acct/1
uacme: order location: https://ca.example/acme/order/1/2
uacme: retrieving authorization at https://ca.example/acme/authz/1/2
uacme: running /etc/uacme.sh begin http-01 shop.example.org token key-authorization
`

func ExampleEvents() {
	for event, err := range logparse.Events(strings.NewReader(uacmeLog)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(event.Place, event.Client, event.Kind)
	}
	// Output:
	// line 1 uacme run started
	// line 3 uacme order
	// line 4 uacme authorization
	// line 5 uacme authorization
	// line 5 uacme run stopped
}

// A History tells what became of every authorization, and why it leaked.
func ExampleHistory() {
	history := logparse.History{At: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)} // the zero History judges as of now
	for event, err := range logparse.Events(strings.NewReader(uacmeLog)) {
		if err != nil {
			log.Fatal(err)
		}
		history.Add(event)
	}
	for _, life := range history.Lives() {
		fmt.Println(life.URL, life.Verdict, life.Cause)
	}
	// Output:
	// https://ca.example/acme/authz/1/2 leaked killed
}

// The logs of a fleet are read where they are, and merged. Names of files or hosts must tell them apart.
func ExampleHistory_Merge() {
	var fleet logparse.History
	for _, host := range []string{"web01", "web02"} {
		reader := logparse.Reader{Host: func(string) string { return host }}
		var history logparse.History
		for event, err := range reader.Events(strings.NewReader(strings.ReplaceAll(uacmeLog, "1/2", "1/"+host[3:]))) {
			if err != nil {
				log.Fatal(err)
			}
			history.Add(event)
		}
		shard, err := json.Marshal(&history) // may travel, come late, or twice
		if err != nil {
			log.Fatal(err)
		}
		var received logparse.History
		if err := json.Unmarshal(shard, &received); err != nil {
			log.Fatal(err)
		}
		fleet.Merge(&received)
		fleet.Merge(&received)
	}
	for _, group := range fleet.Groups(logparse.ByHost) {
		fmt.Println(group.Key, group.Authorizations, group.Leaks())
	}
	for account, part := range fleet.Split() {
		fmt.Println(account, len(part.Lives()))
	}
	// Output:
	// web01 1 1
	// web02 1 1
	// https://ca.example/acme/acct/1 2
}

// A Follower reads a log that is still being written. What the next line may complete, Pause tells before it comes.
func ExampleFollower() {
	follower := new(logparse.Reader).Follow(logparse.Place{File: "uacme.log"})
	var history logparse.History
	for line := range strings.Lines(uacmeLog) { // as they are added to the log
		for _, event := range follower.Read([]byte(line)) {
			history.Add(event)
		}
	}
	for _, event := range follower.Pause() {
		history.Add(event)
	}
	for _, life := range history.Lives() {
		fmt.Println(life.URL, life.Status)
	}
	fmt.Println("after a restart, read again from", follower.From())
	// Output:
	// https://ca.example/acme/authz/1/2 pending
	// after a restart, read again from uacme.log:1
}
