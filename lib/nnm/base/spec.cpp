// The part of a Spec that is the same for every struct of options.
#include "nnm/base/spec.h"

namespace nnm {

namespace {

void* at(void* options, size_t offset) { return static_cast<char*>(options) + offset; }
const void* at(const void* options, size_t offset) {
  return static_cast<const char*>(options) + offset;
}

}  // namespace

void FieldTable::add(const char* name, size_t offset, const FieldType& type, const void* fallback,
                     const char* doc, Limit limit) {
  Param p;
  p.name = name;
  p.type = type.type();
  p.type.min = limit.min;
  p.type.max = limit.max;
  p.type.exclusive_min = limit.exclusive_min;
  p.type.choices = std::move(limit.choices);
  if (fallback) p.fallback.emplace(type.write(fallback));
  p.doc = doc;
  p.keyword_only = keyword_only_;
  params_.push_back(std::move(p));
  fields_.push_back({offset, &type});
}

void FieldTable::read(void* options, const Values& bound) const {
  for (size_t i = 0; i < fields_.size(); ++i) {
    try {
      fields_[i].type->read(at(options, fields_[i].offset), bound[i]);
    } catch (const Error& e) {
      throw Error(e.kind(), fmt::format("`{}`: {}", params_[i].name, e.what()), e.hint());
    }
  }
}

void FieldTable::join(void* rest, const void* leading, const void* unset, size_t n) const {
  for (size_t i = 0; i < n; ++i) {
    const auto& [offset, type] = fields_[i];
    NNM_CHECK(type->write(at(rest, offset)) == type->write(at(unset, offset)), type,
              "{}.__init__() got multiple values for argument '{}'", name_, params_[i].name);
    type->copy(at(rest, offset), at(leading, offset));
  }
}

Values FieldTable::write(const void* options) const {
  Values out;
  for (const Field& f : fields_) out.push_back(f.type->write(at(options, f.offset)));
  return out;
}

}  // namespace nnm
