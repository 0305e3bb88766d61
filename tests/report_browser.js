// Measures a report in a browser, for tests/report_browser.rs: appended to the page, it leaves one JSON object in an
// element of its own.
"use strict";
(() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = (color) => {
    const [red, green, blue] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const background = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = getComputedStyle(one).backgroundColor;
      if (channels(color)[3] !== 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const contrast = (element, color) => {
    const [one, other] = [luminance(color), luminance(background(element))];
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  };
  const low = [];
  for (const element of document.querySelectorAll("body *:not(script)")) {
    const style = getComputedStyle(element);
    const has_text = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    const color = element instanceof SVGElement ? style.fill : style.color;
    const is_curve = element.matches(".curve, .level");
    const ratio = has_text ? contrast(element, color) / 4.5 : is_curve ? contrast(element, style.color) / 3 : 1;
    if (ratio < 1) low.push(`${element.tagName} ${element.getAttribute("class")}`);
  }
  const text = document.querySelector(".tokens");
  const panel = () => document.querySelector(".panel").textContent;
  text.focus();
  const before = panel();
  text.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const select = document.querySelector("select");
  const colors = () => [...document.getElementById(select.dataset.text).children].map((one) => one.className).join();
  const first = colors();
  select.selectedIndex = select.options.length - 1;
  select.dispatchEvent(new Event("change"));
  const pointer = [...document.querySelectorAll("[tabindex='-1'], [onclick]")];
  const measured = {
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    is_dark: matchMedia("(prefers-color-scheme: dark)").matches,
    low_contrast: low,
    requests: performance.getEntriesByType("resource").map((one) => one.name),
    keys_choose: before !== panel(),
    select_colors: first !== colors(),
    only_by_pointer: pointer.length,
    unnamed: [...document.querySelectorAll("svg[role=img], select, section.scroll")]
      .filter((one) => !one.getAttribute("aria-label")).length,
  };
  const element = document.createElement("pre");
  element.id = "measured";
  element.textContent = JSON.stringify(measured);
  document.body.append(element);
})();
