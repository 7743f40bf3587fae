// Puts the visitor's face on the styles' tiles that `props.faces` has pictures for; the others show what they came with.
// Runs as a component's `js_on_load`.
let worn = {};
const wear = () => {
  const faces = props.faces || {};
  if (worn.of !== faces.of) worn = {of: faces.of, pictures: {}};
  if (faces.of) Object.assign(worn.pictures, faces.pictures);
  element.querySelectorAll('.si-tile[data-pick] img').forEach((picture) => {
    picture.dataset.own = picture.dataset.own || picture.src;
    picture.src = (worn.pictures || {})[picture.closest('[data-pick]').dataset.pick] || picture.dataset.own;
  });
};
watch(['value', 'faces'], wear);
