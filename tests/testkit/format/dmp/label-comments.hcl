a /* kept */ "b" /* kept */ {
}
