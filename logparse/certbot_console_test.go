package logparse

import "testing"

func TestCertbotConsole(t *testing.T) {
	testLogs(t, []logTest{
		{
			name: "names one by one",
			log: []string{
				`Saving debug log to /var/log/letsencrypt/letsencrypt.log`,
				`http-01 challenge for a.example`,
				`http-01 challenge for b.example`,
				`Challenge failed for domain b.example`,
				`Some challenges have failed.`,
			},
			want: []string{
				`line 1: run started client=certbot run="line 1"`,
				`line 2: order client=certbot run="line 1" order="line 2"`,
				`line 2: authorization client=certbot run="line 1" in="line 2" identifier=a.example status=pending`,
				`line 3: authorization client=certbot run="line 1" in="line 2" identifier=b.example status=pending`,
				`line 4: authorization client=certbot run="line 1" in="line 2" identifier=b.example status=invalid`,
				`line 5: run ended client=certbot run="line 1" exit=error message="Some challenges have failed."`,
			},
		},
		{
			name: "some names only",
			log: []string{
				`Saving debug log to /var/log/letsencrypt/letsencrypt.log`,
				`Requesting a certificate for a.example and b.example`,
				``,
				`Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these problems:`,
				`  Domain: b.example`,
				`  Type:   dns`,
				`  Detail: no such name`,
				``,
				`Successfully received certificate.`,
			},
			want: []string{
				`line 1: run started client=certbot run="line 1"`,
				`line 2: order client=certbot run="line 1" order="line 2" name=a.example name=b.example`,
				`line 8: authorization client=certbot run="line 1" in="line 2" identifier=b.example status=invalid problem=urn:ietf:params:acme:error:dns detail="no such name"`,
				`line 9: order client=certbot run="line 1" order="line 9" name=a.example`,
				`line 9: order client=certbot run="line 1" order="line 9" status=valid`,
				`line 9: run ended client=certbot run="line 1"`,
			},
		},
		{
			name: "rate limited",
			log: []string{
				`Saving debug log to /var/log/letsencrypt/letsencrypt.log`,
				`An unexpected error occurred:`,
				`acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type :: too many certificates`,
				`Requesting a certificate for a.example and 4 more domains`,
			},
			want: []string{
				`line 1: run started client=certbot run="line 1"`,
				`line 3: problem client=certbot run="line 1" problem=urn:ietf:params:acme:error:rateLimited detail="too many certificates"`,
				`line 4: order client=certbot run="line 1" order="line 4" name=a.example`,
				`line 3: run ended client=certbot run="line 1" exit=error message="acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: There were too many requests of a given type :: too many certificates"`,
			},
		},
	})
}
