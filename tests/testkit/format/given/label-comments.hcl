a /* kept */ b /* kept */ {
}
