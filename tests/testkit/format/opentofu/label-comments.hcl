a "b" /* kept */ {
}
