// What the user has chosen, and the link that holds it.

// Where settings differ from the defaults; the rows of a table do not fit into a link.
export function changes(settings, defaults) {
  const found = {};
  for (const [key, value] of Object.entries(settings)) {
    if (["table", "target", "axes"].includes(key)) continue;
    if (key === "kind" && value === "table") continue;
    if (JSON.stringify(value) !== JSON.stringify(defaults[key])) found[key] = value;
  }
  if (found.painted && !found.painted.length) delete found.painted;
  return found;
}

export function toHash(settings, defaults) {
  const text = JSON.stringify(changes(settings, defaults));
  if (text === "{}") return "";
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// The settings of a link, or null where it holds none. The server checks them.
export function fromHash(hash) {
  if (hash.length < 2) return null;
  try {
    const text = atob(hash.slice(1).replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
    const found = JSON.parse(new TextDecoder().decode(bytes));
    return typeof found === "object" && found !== null && !Array.isArray(found) ? found : null;
  } catch {
    return null;
  }
}

// Whether lists are lists and no longer than the forms can show; the server checks what is in them.
export function haveShapes(settings, defaults) {
  return ["hidden", "features"].every((key) => {
    const value = settings[key] ?? defaults[key];
    return Array.isArray(value) && value.length <= 20 && settings[key] !== null;
  });
}

export function copyOf(value) {
  return JSON.parse(JSON.stringify(value));
}
