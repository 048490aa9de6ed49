// Command web is the application of the tests: it answers every request with its host name and, where the environment
// variable GREETING is set, with that. `web ask URL [TIMES]` is the other side, for pods without a browser.
package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("web: ")
	if len(os.Args) > 2 && os.Args[1] == "ask" {
		times := 1
		if len(os.Args) > 3 {
			times, _ = strconv.Atoi(os.Args[3])
		}
		for range times {
			if err := ask(os.Args[2]); err != nil {
				log.Fatal(err)
			}
		}
		return
	}
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(answer, name, os.Getenv("GREETING"))
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}

// ask opens a connection of its own, so that a service may choose another pod each time.
func ask(url string) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, answer.Status)
	}
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}
