package logparse

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAcmeSh(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "the DNS provider refuses",
			log: []string{
				`[Mon Nov 23 21:00:00 UTC 2026] Using CA: https://ca.example/directory`,
				`[Mon Nov 23 21:00:00 UTC 2026] Single domain='a.example'`,
				`[Mon Nov 23 21:00:01 UTC 2026] Getting webroot for domain='a.example'`,
				`[Mon Nov 23 21:00:01 UTC 2026] Adding TXT value: x for domain: _acme-challenge.a.example`,
				`[Mon Nov 23 21:00:02 UTC 2026] Error adding TXT record to domain: _acme-challenge.a.example`,
				`[Mon Nov 23 21:00:02 UTC 2026] Please add '--debug' or '--log' to see more information.`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:00:00Z client=acme.sh run="line 1"`,
				`line 3: order time=2026-11-23T21:00:01Z client=acme.sh run="line 1" order="line 3" name=a.example`,
				`line 3: authorization time=2026-11-23T21:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example status=pending`,
				`line 5: failure time=2026-11-23T21:00:02Z client=acme.sh run="line 1" cause="dns provider" message="Error adding TXT record to domain: _acme-challenge.a.example" order="line 3" in="line 3" identifier=a.example`,
				`line 6: run ended time=2026-11-23T21:00:02Z client=acme.sh run="line 1" exit=error message="Error adding TXT record to domain: _acme-challenge.a.example"`,
			},
		},
		{
			name: "a wildcard, a name that is valid, and an older error",
			log: []string{
				`[Mon 23 Nov 2026 09:00:00 PM +0100] Using CA: https://ca.example/directory`,
				`[Mon 23 Nov 2026 09:00:01 PM +0100] Multi domain='DNS:a.example,DNS:*.a.example'`,
				`[Mon 23 Nov 2026 09:00:01 PM +0100] Getting webroot for domain='a.example'`,
				`[Mon 23 Nov 2026 09:00:01 PM +0100] Getting webroot for domain='*.a.example'`,
				`[Mon 23 Nov 2026 09:00:01 PM +0100] a.example is already verified, skip dns-01.`,
				`[Mon 23 Nov 2026 09:00:01 PM +0100] Verifying: *.a.example`,
				`[Mon 23 Nov 2026 12:00:01 AM +0100] *.a.example:Verify error:No TXT record found`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T20:00:00Z client=acme.sh run="line 1"`,
				`line 3: order time=2026-11-23T20:00:01Z client=acme.sh run="line 1" order="line 3" name=a.example name=*.a.example`,
				`line 3: authorization time=2026-11-23T20:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example status=pending`,
				`line 4: authorization time=2026-11-23T20:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example wildcard=true status=pending`,
				`line 5: authorization time=2026-11-23T20:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example status=valid`,
				`line 7: challenge answered time=2026-11-22T23:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example wildcard=true`,
				`line 7: authorization time=2026-11-22T23:00:01Z client=acme.sh run="line 1" in="line 3" identifier=a.example wildcard=true status=invalid detail="No TXT record found"`,
				`line 7: run stopped time=2026-11-22T23:00:01Z client=acme.sh run="line 1" message="*.a.example:Verify error:No TXT record found"`,
			},
		},
		{
			name: "nothing to renew",
			log: []string{
				`[Mon Nov 23 21:00:00 UTC 2026] LE_WORKING_DIR='/root/.acme.sh'`,
				`[Mon Nov 23 21:00:00 UTC 2026] Running cmd: issue`,
				`[Mon Nov 23 21:00:00 UTC 2026] _main_domain='a.example'`,
				`[Mon Nov 23 21:00:01 UTC 2026] Skipping. Next renewal time is: 2027-01-21T21:19:58Z`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:00:00Z client=acme.sh run="line 1" command=issue`,
				`line 4: run ended time=2026-11-23T21:00:01Z client=acme.sh run="line 1"`,
			},
		},
		{
			name: "the CA is not reached",
			log: []string{
				`[Mon Nov 23 21:00:00 UTC 2026] LE_WORKING_DIR='/root/.acme.sh'`,
				`[Mon Nov 23 21:00:00 UTC 2026] Running cmd: issue`,
				`[Mon Nov 23 21:00:00 UTC 2026] _main_domain='a.example'`,
				`[Mon Nov 23 21:00:00 UTC 2026] _alt_domains='no'`,
				`[Mon Nov 23 21:00:01 UTC 2026] GET`,
				`[Mon Nov 23 21:00:01 UTC 2026] url='https://ca.example/directory'`,
				`[Mon Nov 23 21:00:02 UTC 2026] Please refer to https://curl.haxx.se/libcurl/c/libcurl-errors.html for error code: 7`,
				`[Mon Nov 23 21:00:02 UTC 2026] ret='7'`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:00:00Z client=acme.sh run="line 1" command=issue`,
				`line 7: failure time=2026-11-23T21:00:02Z client=acme.sh run="line 1" cause=network message="Please refer to https://curl.haxx.se/libcurl/c/libcurl-errors.html for error code: 7"`,
				`line 8: run stopped time=2026-11-23T21:00:02Z client=acme.sh run="line 1" message=ret='7'`,
			},
		},
		{
			name: "two processes whose challenges do not tell the authorizations",
			log: []string{
				`[Mon Nov 23 21:00:01 UTC 2026] LE_WORKING_DIR='/root/.acme.sh'`,
				`[Mon Nov 23 21:00:01 UTC 2026] Running cmd: issue`,
				`[Mon Nov 23 21:00:01 UTC 2026] _main_domain='a.example'`,
				`[Mon Nov 23 21:00:01 UTC 2026] _alt_domains='no'`,
				`[Mon Nov 23 21:00:01 UTC 2026] LE_WORKING_DIR='/root/.acme.sh'`,
				`[Mon Nov 23 21:00:01 UTC 2026] Running cmd: issue`,
				`[Mon Nov 23 21:00:01 UTC 2026] _main_domain='b.example'`,
				`[Mon Nov 23 21:00:01 UTC 2026] _alt_domains='no'`,
				`[Mon Nov 23 21:00:02 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuMSIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL25ldy1vcmRlciIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "e314", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:02 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuMiIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL25ldy1vcmRlciIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "e314", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:02 UTC 2026] responseHeaders='HTTP/2 201 `,
				`location: https://ca.example/order/B`,
				`'`,
				`[Mon Nov 23 21:00:02 UTC 2026] code='201'`,
				`[Mon Nov 23 21:00:02 UTC 2026] original='{"status":"pending","identifiers":[{"type":"dns","value":"b.example"}],"finalize":"https://ca.example/fin/b","authorizations":["https://ca.example/authz/Aa1Bb2Cc3Ddb"]}'`,
				`[Mon Nov 23 21:00:02 UTC 2026] code='400'`,
				`[Mon Nov 23 21:00:02 UTC 2026] original='{"status":"pending","identifiers":[{"type":"dns","value":"a.example"}],"finalize":"https://ca.example/fin/a","authorizations":["https://ca.example/authz/Aa1Bb2Cc3Dda"]}'`,
				`[Mon Nov 23 21:00:03 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuMyIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2F1dGh6L0FhMUJiMkNjM0RkYSIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:03 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuNCIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2F1dGh6L0FhMUJiMkNjM0RkYiIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:03 UTC 2026] code='200'`,
				`[Mon Nov 23 21:00:03 UTC 2026] original='{"status":"pending","identifier":{"type":"dns","value":"b.example"},"challenges":[{"type":"http-01","url":"https://ca.example/c/2","token":"t","status":"pending"}]}'`,
				`[Mon Nov 23 21:00:03 UTC 2026] original='{"status":"pending","identifier":{"type":"dns","value":"a.example"},"challenges":[{"type":"http-01","url":"https://ca.example/c/1","token":"t","status":"pending"}]}'`,
				`[Mon Nov 23 21:00:04 UTC 2026] dvlist='a.example#t.k#https://ca.example/c/1#http-01#/www#https://ca.example/authz/Aa1Bb2Cc3Dda'`,
				`[Mon Nov 23 21:00:04 UTC 2026] dvlist='b.example#t.k#https://ca.example/c/2#http-01#/www#https://ca.example/authz/Aa1Bb2Cc3Ddb'`,
				`[Mon Nov 23 21:00:05 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuNSIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2MvMSIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "e30", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:05 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuNiIsICJ1cmwiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2F1dGh6L0FhMUJiMkNjM0RkYiIsICJhbGciOiAiRVMyNTYiLCAia2lkIjogImh0dHBzOi8vY2EuZXhhbXBsZS9hY2N0LzEifQ", "payload": "", "signature": "c2ln"}'`,
				`[Mon Nov 23 21:00:05 UTC 2026] original='{"status":"invalid","identifier":{"type":"dns","value":"b.example"},"challenges":[{"type":"http-01","url":"https://ca.example/c/2","token":"t","status":"invalid"}]}'`,
				`[Mon Nov 23 21:00:05 UTC 2026] b.example: Invalid status. Verification error details: no`,
				`[Mon Nov 23 21:00:05 UTC 2026] _on_issue_err`,
				`[Mon Nov 23 21:00:05 UTC 2026] _chk_vlist='b.example#t.k#https://ca.example/c/2#http-01#/www#https://ca.example/authz/Aa1Bb2Cc3Ddb,'`,
				`[Mon Nov 23 21:00:06 UTC 2026] responseHeaders='HTTP/2 200 `,
				`link: <https://ca.example/authz/Aa1Bb2Cc3Ddb>;rel="up"`,
				`'`,
				`[Mon Nov 23 21:00:06 UTC 2026] code='200'`,
				`[Mon Nov 23 21:00:06 UTC 2026] original='{"type":"http-01","url":"https://ca.example/c/1","token":"t","status":"processing"}'`,
				`[Mon Nov 23 21:00:06 UTC 2026] Sleep 2 seconds before verifying again`,
			},
			want: []string{
				`line 5: run started time=2026-11-23T21:00:01Z client=acme.sh account=https://ca.example/acct/1 run="line 5" command=issue`,
				`line 15: order time=2026-11-23T21:00:02Z client=acme.sh account=https://ca.example/acct/1 run="line 5" order=https://ca.example/fin/b status=pending name=b.example authorization=https://ca.example/authz/Aa1Bb2Cc3Ddb`,
				`line 1: run started time=2026-11-23T21:00:01Z client=acme.sh run="line 1" command=issue`,
				`line 17: order time=2026-11-23T21:00:02Z client=acme.sh run="line 1" order=https://ca.example/fin/a status=pending name=a.example authorization=https://ca.example/authz/Aa1Bb2Cc3Dda`,
				`line 23: authorization time=2026-11-23T21:00:04Z client=acme.sh account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/Aa1Bb2Cc3Dda in=https://ca.example/fin/a identifier=a.example status=pending`,
				`line 24: authorization time=2026-11-23T21:00:04Z client=acme.sh account=https://ca.example/acct/1 run="line 5" authorization=https://ca.example/authz/Aa1Bb2Cc3Ddb in=https://ca.example/fin/b identifier=b.example status=pending`,
				`line 27: authorization time=2026-11-23T21:00:05Z client=acme.sh account=https://ca.example/acct/1 run="line 5" authorization=https://ca.example/authz/Aa1Bb2Cc3Ddb identifier=b.example status=invalid`,
				`line 30: run ended time=2026-11-23T21:00:05Z client=acme.sh account=https://ca.example/acct/1 run="line 5" exit=error message="b.example: Invalid status. Verification error details: no"`,
				`line 35: challenge answered time=2026-11-23T21:00:06Z client=acme.sh account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/authz/Aa1Bb2Cc3Dda challenge=https://ca.example/c/1 type=http-01 challengeStatus=processing`,
				`line 36: run stopped time=2026-11-23T21:00:06Z client=acme.sh account=https://ca.example/acct/1 run="line 1" message="Sleep 2 seconds before verifying again"`,
			},
		},
		{
			name: "killed before the answer",
			log: []string{
				`[Mon Nov 23 21:00:00 UTC 2026] LE_WORKING_DIR='/root/.acme.sh'`,
				`[Mon Nov 23 21:00:00 UTC 2026] Running cmd: issue`,
				`[Mon Nov 23 21:00:00 UTC 2026] _main_domain='a.example'`,
				`[Mon Nov 23 21:00:00 UTC 2026] _alt_domains='no'`,
				`[Mon Nov 23 21:00:01 UTC 2026] body='{"protected": "eyJub25jZSI6ICJuIiwgInVybCI6ICJodHRwczovL2NhLmV4YW1wbGUvYWNtZS9jaGFsbC8xLzIvYWJjIiwgImFsZyI6ICJFUzI1NiIsICJraWQiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2FjY3QvMSJ9", "payload": "e30", "signature": "c2ln"}'`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:00:00Z client=acme.sh account=https://ca.example/acct/1 run="line 1" command=issue`,
				`line 5: challenge answered time=2026-11-23T21:00:01Z client=acme.sh account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 challenge=https://ca.example/acme/chall/1/2/abc`,
				`line 5: run stopped time=2026-11-23T21:00:01Z client=acme.sh account=https://ca.example/acct/1 run="line 1" message="body='{\"protected\": \"eyJub25jZSI6ICJuIiwgInVybCI6ICJodHRwczovL2NhLmV4YW1wbGUvYWNtZS9jaGFsbC8xLzIvYWJjIiwgImFsZyI6ICJFUzI1NiIsICJraWQiOiAiaHR0cHM6Ly9jYS5leGFtcGxlL2FjY3QvMSJ9\", \"payload\": \"e30\", \"signature\": \"c2ln\"}'"`,
			},
		},
		{
			name: "a month in another language",
			log: []string{
				`[lun. 23 nov. 2026 21:00:00 CET] Using CA: https://ca.example/directory`,
				`[lun. 23 févr. 2026 21:00:00 CET] Single domain='a.example'`,
				`[lun. 23 févr. 2026 21:00:00 CET] Getting webroot for domain='a.example'`,
			},
			want: []string{
				`line 1: run started client=acme.sh run="line 1"`,
				`line 3: order client=acme.sh run="line 1" order="line 3" name=a.example`,
				`line 3: authorization client=acme.sh run="line 1" in="line 3" identifier=a.example status=pending`,
				`line 3: run stopped client=acme.sh run="line 1" message="Getting webroot for domain='a.example'"`,
			},
		},
	})
}

// TestAcmeShHeaders has two requests under way. The second is answered first, so that the first is the only one left when
// its answer comes, but the headers are the other's.
func TestAcmeShHeaders(t *testing.T) {
	post := func(url, payload string) string {
		return stampOf + `body='{"protected": "` + base64.RawURLEncoding.EncodeToString([]byte(`{"url": "`+url+`"}`)) + `", "payload": "` + payload + `"}'`
	}
	log := []string{
		post("https://ca.example/c/1", "e30"), post("https://ca.example/acme/authz/1/4", ""),
		stampOf + `original='{"identifier":{"type":"dns","value":"b.example"},"challenges":[{"url":"https://ca.example/acme/chall/1/4/x"}]}'`,
		stampOf + "responseHeaders='HTTP/2 200", `link: <https://ca.example/authz/Aa1Bb2Cc3Ddb>;rel="up"`, "'", stampOf + "code='200'",
		stampOf + `original='{"type":"http-01","url":"https://ca.example/c/1","token":"t","status":"processing"}'`,
	}
	s := strings.Join(append([]string{stampOf + "Running cmd: issue"}, log...), "\n")
	var answered []string
	for e, err := range fixed.Events(strings.NewReader(s)) {
		require.NoError(t, err)
		if e.Kind == ChallengeAnswered {
			answered = append(answered, e.Challenge.URL+" "+e.Authorization.URL)
		}
	}
	require.Equal(t, []string{"https://ca.example/c/1 "}, answered)
}

const stampOf = "[Mon Nov 23 21:00:00 UTC 2026] "
