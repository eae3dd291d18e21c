// Rows of an adapter and its weight, all in one value: a list of [name, weight].
// `element`, `props`, `trigger`, `watch` and `server` are given by gr.HTML; `options` is put before this file.
const wanted = (navigator.language || "en").toLowerCase();
const nearest_tag = Object.keys(options.texts).find((tag) => tag.toLowerCase() === wanted)
  ?? Object.keys(options.texts).find((tag) => tag.toLowerCase() === wanted.split("-")[0]) ?? "en";
const texts = options.texts[nearest_tag];
const list = element.querySelector(".studio-weights");
const add = element.querySelector("button");
const hint = element.querySelector(".studio-weights-hint");
const names = element.querySelector("datalist");
names.id = `${element.id}-names`;
add.textContent = texts.add;
hint.textContent = texts.none;

const nearest = (weight) => Math.min(options.reach, Math.max(-options.reach, weight ?? 0));
const filled = (value) => {
  const rows = (Array.isArray(value) ? value : []).slice(0, options.most);
  while (rows.length < options.least) rows.push([null, options.first]);
  return rows;
};
const read = () =>
  [...list.children].map((row) => {
    const [name, , weight] = row.querySelectorAll("input");
    return [name.value.trim() || null, weight.value === "" ? null : Number(weight.value)];
  });
let known = "[]";
const chosen = () => {
  const now = JSON.stringify(read().map(([name]) => name).filter(Boolean));
  if (now !== known) trigger("select");  // other adapters, not only other weights
  known = now;
};
const tell = () => {
  props.value = read();
  trigger("input");
  chosen();
};

function field(text, className, settings) {
  const label = document.createElement("label");
  const input = Object.assign(document.createElement("input"), settings);
  label.className = className;
  label.append(Object.assign(document.createElement("span"), { textContent: text }), input);
  return [label, input];
}

function place(row, number) {
  const [named, name] = field(texts.adapter, "studio-weights-name", { type: "text", autocomplete: "off" });
  const [slid, slider] = field(texts.slider, "studio-weights-slider", {
    type: "range", min: -options.reach, max: options.reach, step: options.step,
  });
  const [written, weight] = field(texts.weight, "studio-weights-number", { type: "number", step: "any" });
  const remove = Object.assign(document.createElement("button"), { type: "button", textContent: texts.remove });
  const group = document.createElement("div");
  group.className = "studio-weights-row";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", `${texts.row} ${number + 1}`);
  group.append(named, slid, written, remove);
  name.setAttribute("list", names.id);
  name.value = row[0] ?? "";
  weight.value = row[1] ?? "";
  slider.value = nearest(row[1]);
  slider.addEventListener("input", () => { weight.value = slider.value; tell(); });
  weight.addEventListener("input", () => {
    slider.value = nearest(weight.value === "" ? 0 : Number(weight.value));
    tell();
  });
  // a browser offers only names that match what stands there: a click shows all of them, until one is chosen
  let before = null;
  name.addEventListener("click", () => {
    if (before === null && name.value) {
      before = name.value;
      name.placeholder = before;
      name.value = "";
    }
  });
  name.addEventListener("focus", refresh);
  name.addEventListener("input", () => { before = before === null ? null : ""; });
  name.addEventListener("blur", () => {
    if (before) name.value = before;
    before = null;
    name.placeholder = "";
  });
  name.addEventListener("change", tell);
  name.addEventListener("input", () => {
    if ([...names.options].some((option) => option.value === name.value)) tell();
  });
  remove.addEventListener("click", () => {
    group.remove();
    show(filled(read()));
    (list.querySelectorAll(".studio-weights-row > button")[number] ?? add).focus();
    tell();
  });
  return group;
}

function show(value) {
  list.replaceChildren(...filled(value).map(place));
  add.disabled = list.children.length >= options.most;
}

async function refresh() {
  const found = await server.names().catch(() => null);
  if (!Array.isArray(found)) return;  // the app is away: the names of last time stay
  hint.hidden = found.length > 0 || !texts.none;
  names.replaceChildren(...found.map((value) => Object.assign(document.createElement("option"), { value })));
}

add.addEventListener("click", () => {
  show([...read(), [null, options.first]]);
  list.lastElementChild.querySelector("input").focus();
  tell();
});
watch("value", () => {
  if (JSON.stringify(filled(props.value)) !== JSON.stringify(read())) show(props.value);
  chosen();
});
show(props.value);
chosen();
refresh();
