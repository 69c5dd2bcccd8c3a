package logparse

import "iter"

// collect returns what a sequence yields. It panics if a pair has a URL and an error, or follows an error.
func collect(seq iter.Seq2[string, error]) (urls []string, err error) {
	for url, e := range seq {
		switch {
		case err != nil:
			panic("a pair after an error")
		case e != nil && url != "":
			panic("a URL with an error")
		case e != nil:
			err = e
		default:
			urls = append(urls, url)
		}
	}
	return urls, err
}
