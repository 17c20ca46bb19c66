export function askWithKey() {}
