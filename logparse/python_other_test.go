package logparse

import "testing"

func TestPythonOther(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "simp_le",
			log: []string{
				`2026-11-23 21:33:52,100:DEBUG:acme.client:650: JWS payload:`,
				`b'{\n  "status": "deactivated"\n}'`,
				`2026-11-23 21:33:52,100:DEBUG:acme.client:650: Sending POST request to https://ca.example/acme/authz/1/2:`,
				`{`,
				`  "protected": "eyJraWQiOiJodHRwczovL2NhLmV4YW1wbGUvYWNjdC8xIn0",`,
				`}`,
				`2026-11-23 21:33:52,100:DEBUG:acme.client:650: Received response:`,
				`HTTP 200`,
				`Date: Mon, 23 Nov 2026 21:33:52 GMT`,
				``,
				`{"status":"deactivated","identifier":{"type":"dns","value":"a.example"},`,
				`"challenges":[]}`,
				`2026-11-23 21:33:52,100:DEBUG:program:650: Something else`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:33:52.1Z client="python acme" account=https://ca.example/acct/1 run="line 1"`,
				`line 7: deactivated time=2026-11-23T21:33:52.1Z client="python acme" account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=deactivated`,
				`line 13: run stopped time=2026-11-23T21:33:52.1Z client="python acme" account=https://ca.example/acct/1 run="line 1" message="2026-11-23 21:33:52,100:DEBUG:program:650: Something else"`,
			},
		},
		{
			name: "logging without a time",
			log: []string{
				`DEBUG:acme.client:JWS payload:`,
				`b'{\n  "status": "deactivated"\n}'`,
				`DEBUG:acme.client:Sending POST request to https://ca.example/acme/authz/1/2:`,
				`{`,
				`  "protected": "eyJraWQiOiJodHRwczovL2NhLmV4YW1wbGUvYWNjdC8xIn0",`,
				`}`,
				`DEBUG:acme.client:Received response:`,
				`HTTP 200`,
				`Date: Mon, 23 Nov 2026 21:33:52 GMT`,
				``,
				`{"status":"deactivated","identifier":{"type":"dns","value":"a.example"},`,
				`"challenges":[]}`,
				`DEBUG:program:Something else`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1"`,
				`line 7: deactivated time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=deactivated`,
				`line 13: run stopped time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1" message="DEBUG:program:Something else"`,
			},
		},
		{
			name: "brackets",
			log: []string{
				`[2026-11-23 22:33:52] acme.client DEBUG - JWS payload:`,
				`b'{\n  "status": "deactivated"\n}'`,
				`[2026-11-23 22:33:52] acme.client DEBUG - Sending POST request to https://ca.example/acme/authz/1/2:`,
				`{`,
				`  "protected": "eyJraWQiOiJodHRwczovL2NhLmV4YW1wbGUvYWNjdC8xIn0",`,
				`}`,
				`[2026-11-23 22:33:52] acme.client DEBUG - Received response:`,
				`HTTP 200`,
				`Date: Mon, 23 Nov 2026 21:33:52 GMT`,
				``,
				`{"status":"deactivated","identifier":{"type":"dns","value":"a.example"},`,
				`"challenges":[]}`,
				`[2026-11-23 22:33:52] program DEBUG - Something else`,
			},
			want: []string{
				`line 1: run started time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1"`,
				`line 7: deactivated time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1" authorization=https://ca.example/acme/authz/1/2 identifier=a.example status=deactivated`,
				`line 13: run stopped time=2026-11-23T21:33:52Z client="python acme" account=https://ca.example/acct/1 run="line 1" message="[2026-11-23 22:33:52] program DEBUG - Something else"`,
			},
		},
	})
}
