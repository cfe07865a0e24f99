// Applies events of the live feed to the state they describe. Keys merge per object, null deletes, lists are replaced.
export function merge(state, delta) {
  for (const [key, value] of Object.entries(delta)) {
    if (value === null) delete state[key];
    else if (typeof value === "object" && !Array.isArray(value) && typeof state[key] === "object" && state[key] !== null) merge(state[key], value);
    else state[key] = value;
  }
  return state;
}

// An alarm's new state takes the place of the old one; one that is over leaves the list.
export function mergeAlarm(state, alarm) {
  const others = (state.alarms ?? []).filter((other) => other.id !== alarm.id);
  state.alarms = alarm.st === "normal" ? others : [alarm, ...others];
  return state;
}

export function apply(state, type, body) {
  if (type === "snapshot") return body;
  if (!state) return state;
  return type === "alarm" ? mergeAlarm(state, body) : merge(state, body);
}
