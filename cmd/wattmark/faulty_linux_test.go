package main

import "wattmark/internal/callfault"

func faultyMain() {
	callfault.Main()
	confinedMain()
}
