package logparse

import "testing"

func TestDehydrated(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "a name and its wildcard, one valid, a hook that fails",
			log: []string{
				`# INFO: Using main config file /etc/dehydrated/config`,
				`Processing *.a.example with alternative names: a.example b.example`,
				` + Requesting new certificate order from CA...`,
				` + Received 3 authorizations URLs from the CA`,
				` + Handling authorization for a.example`,
				` + Handling authorization for a.example`,
				` + Handling authorization for b.example`,
				` + Found valid authorization for b.example`,
				` + 2 pending challenge(s)`,
				` + Deploying challenge tokens...`,
				`hook says no`,
				`ERROR: deploy_challenge hook returned with non-zero exit code`,
			},
			want: []string{
				`line 1: run started client=dehydrated run="line 1"`,
				`line 3: order client=dehydrated run="line 1" order="line 3" name=*.a.example name=a.example name=b.example`,
				`line 5: authorization client=dehydrated run="line 1" in="line 3" identifier=a.example status=pending`,
				`line 6: authorization client=dehydrated run="line 1" in="line 3" identifier=a.example wildcard=true status=pending`,
				`line 7: authorization client=dehydrated run="line 1" in="line 3" identifier=b.example status=pending`,
				`line 8: authorization client=dehydrated run="line 1" in="line 3" identifier=b.example status=valid`,
				`line 12: failure client=dehydrated run="line 1" cause="hook failed" message="deploy_challenge hook returned with non-zero exit code" order="line 3"`,
				`line 12: run ended client=dehydrated run="line 1" exit=error message="deploy_challenge hook returned with non-zero exit code"`,
			},
		},
		{
			name: "the result is JSON",
			log: []string{
				`# INFO: Using main config file /etc/dehydrated/config`,
				`Processing *.a.example with alternative names: a.example b.example`,
				` + Requesting new certificate order from CA...`,
				` + Received 3 authorizations URLs from the CA`,
				` + Handling authorization for b.example`,
				` + Responding to challenge for b.example authorization...`,
				`ERROR: Challenge is invalid! (returned: invalid) (result: {`,
				`  "type": "http-01",`,
				`  "status": "invalid",`,
				`  "error": {"type": "urn:ietf:params:acme:error:dns", "detail": "no such name", "status": 400},`,
				`  "url": "https://ca.example/acme/chall-v3/7/abc"`,
				`})`,
			},
			want: []string{
				`line 1: run started client=dehydrated run="line 1"`,
				`line 3: order client=dehydrated run="line 1" order="line 3" name=*.a.example name=a.example name=b.example`,
				`line 5: authorization client=dehydrated run="line 1" in="line 3" identifier=b.example status=pending`,
				`line 6: challenge answered client=dehydrated run="line 1" in="line 3" identifier=b.example`,
				`line 7: challenge answered client=dehydrated run="line 1" authorization=https://ca.example/acme/authz-v3/7 in="line 3" identifier=b.example challenge=https://ca.example/acme/chall-v3/7/abc type=http-01 challengeStatus=invalid`,
				`line 7: authorization client=dehydrated run="line 1" authorization=https://ca.example/acme/authz-v3/7 in="line 3" identifier=b.example status=invalid problem=urn:ietf:params:acme:error:dns httpStatus=400 detail="no such name" challenge=https://ca.example/acme/chall-v3/7/abc type=http-01 challengeStatus=invalid`,
				`line 7: run ended client=dehydrated run="line 1" exit=error message="Challenge is invalid! (returned: invalid) (result: {"`,
			},
		},
		{
			name: "goes on after an error",
			log: []string{
				`# INFO: Using main config file /etc/dehydrated/config`,
				`Processing *.a.example with alternative names: a.example b.example`,
				` + Requesting new certificate order from CA...`,
				` + Received 3 authorizations URLs from the CA`,
				`ERROR: Problem connecting to server (post for https://ca.example/new-order; curl returned with 7)`,
				`Processing c.example`,
				` + Requesting new certificate order from CA...`,
			},
			want: []string{
				`line 1: run started client=dehydrated run="line 1"`,
				`line 3: order client=dehydrated run="line 1" order="line 3" name=*.a.example name=a.example name=b.example`,
				`line 5: failure client=dehydrated run="line 1" cause=network message="Problem connecting to server (post for https://ca.example/new-order; curl returned with 7)" order="line 3"`,
				`line 7: order client=dehydrated run="line 1" order="line 7" name=c.example`,
				`line 7: run stopped client=dehydrated run="line 1" message=" + Requesting new certificate order from CA..."`,
			},
		},
		{
			name: "cut within an error",
			log: []string{
				`# INFO: Using main config file /etc/dehydrated/config`,
				`Processing *.a.example with alternative names: a.example b.example`,
				` + Requesting new certificate order from CA...`,
				` + Received 3 authorizations URLs from the CA`,
				`  + ERROR: An error occurred while sending post-request to https://ca.example/acme/authz/1/2 (Status 403)`,
				``,
				`Details:`,
				`HTTP/2 403`,
				`date: Mon, 23 Nov 2026 21:09:43 GMT`,
				``,
				`{"type":"urn:ietf:params:acme:error:unauth`,
			},
			want: []string{
				`line 1: run started client=dehydrated run="line 1"`,
				`line 3: order client=dehydrated run="line 1" order="line 3" name=*.a.example name=a.example name=b.example`,
				`line 11: problem time=2026-11-23T21:09:43Z client=dehydrated run="line 1" order="line 3" authorization=https://ca.example/acme/authz/1/2 httpStatus=403 request=https://ca.example/acme/authz/1/2`,
				`line 5: run ended time=2026-11-23T21:09:43Z client=dehydrated run="line 1" exit=error message="ERROR: An error occurred while sending post-request to https://ca.example/acme/authz/1/2 (Status 403)"`,
			},
		},
	})
}
