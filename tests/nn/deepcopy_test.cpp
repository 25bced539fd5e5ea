// Deep copies, shared memory and dir() of modules, as PyTorch 2.13 has them.
#include <sys/wait.h>
#include <unistd.h>

#include "nn/modules.h"
#include "nnm/nn/layers/container.h"
#include "nnm/nn/layers/linear.h"
#include "nnm/nn/layers/norm.h"
#include "nnm/nn/layers/rnn.h"

using namespace nnm;
using namespace nnm::test;

TEST_SUITE_BEGIN("nn");

namespace {

struct Copyable : Module {
  Child<nn::Linear> l = register_module("l", make_ref<nn::Linear>(2, 2));
  Child<nn::Linear> again = register_module("again", l_ref());
  Buffer b = register_buffer("b", tensor({1, 2}));
  Buffer head = register_buffer("head", narrow(*b, 0, 0, 1));
  int64_t plain = 3;
  using Module::forward;
  Tensor forward(const Tensor& x) override { return l(x) + *b; }
  Ref<Module> copied() const override { return make_ref<Copyable>(*this); }

 private:
  Ref<nn::Linear> l_ref() { return Ref<nn::Linear>(l.get()); }
};

}  // namespace

TEST_CASE("a deep copy has its own tensors, and shares inside what was shared inside") {
  Copyable m;
  m.plain = 5;
  m.eval();
  m.l->weight->set_grad(ones({2, 2}));
  const Ref<Copyable> c = deepcopy(m);
  CHECK(c->plain == 5);
  CHECK_FALSE(c->training());
  CHECK(c->l.get() == c->again.get());
  CHECK(c->l.get() != m.l.get());
  CHECK(c->child("l") == c->l.get());  // the member sees the copy's slot
  CHECK(is_parameter(*c->l->weight));
  CHECK(c->l->weight->requires_grad());
  CHECK_FALSE(c->l->weight->grad().defined());
  CHECK(c->b->data() == c->head->data());
  CHECK(c->b->data() != m.b->data());
  CHECK(floats((*c)(ones({1, 2}))) == floats(m(ones({1, 2}))));
  fill_(c->l->weight->detach(), 9);
  fill_(*c->b, 9);
  CHECK(floats(*m.b) == Floats{1, 2});
  CHECK(floats(*m.l->weight) != floats(*c->l->weight));
  CHECK(names(c->named_parameters()) == names(m.named_parameters()));
  CHECK(c->repr() == m.repr());
}

TEST_CASE("hooks stay on a copy, whatever becomes of the original's") {
  Copyable m;
  int forward = 0, gradient = 0;
  auto h = m.register_forward_hook([&](Module&, const Values&, const Value&) { ++forward; });
  m.l->weight->register_hook([&](const Tensor&) { ++gradient; });
  const Ref<Copyable> c = deepcopy(m);
  h.remove();
  m(ones({1, 2}));
  CHECK(forward == 0);
  sum((*c)(ones({1, 2}))).backward();
  CHECK(forward == 1);
  CHECK(gradient == 0);  // hooks of tensors are not copied
  m.register_backward_hook([](Module&, const Tensors&, const Tensors&) {});
  c->register_full_backward_hook([](Module&, const Tensors&, const Tensors&) {});
}

TEST_CASE("containers and layers of all kinds are copied through their base class") {
  auto net = make_ref<nn::Sequential>(nn::NamedRefs{
      {"fc", make_ref<nn::Linear>(3, 4)},
      {"bn", make_ref<nn::BatchNorm1d>(4)},
      {"none", nullptr},
      {"list", make_ref<nn::ModuleList>(std::vector<Ref<Module>>{make_ref<nn::GRU>(2, 3)})},
      {"dict", make_ref<nn::ModuleDict>(nn::NamedRefs{{"k", make_ref<Copyable>()}})},
      {"values", make_ref<nn::ParameterList>(Tensors{ones({2})})},
      {"named", make_ref<nn::ParameterDict>(NamedTensors{{"p", ones({2})}})}});
  const Module& base = *net;
  const Ref<Module> copy = deepcopy(base);
  CHECK(copy->type_name() == "Sequential");
  CHECK(copy->repr() == net->repr());
  CHECK(copy->state_dict().keys() == net->state_dict().keys());
  for (const auto& [key, value] : net->state_dict()) {
    CHECK(floats(copy->state_dict().tensor(key)) == floats(value.as<Tensor>()));
    CHECK(copy->state_dict().tensor(key).data() != value.as<Tensor>().data());
  }
  auto& gru = static_cast<nn::GRU&>(copy->get_submodule("list.0"));
  const Tensor x = ones({4, 2});
  const Value y = static_cast<Module&>(gru)(Value(x));
  fill_(gru.get_parameter("weight_ih_l0").detach(), 0);
  CHECK_FALSE(static_cast<Module&>(gru)(Value(x)) == y);
}

TEST_CASE("what cannot be copied says so") {
  struct NoWay : Module {};
  struct Half : nn::Linear {
    Half() : nn::Linear(1, 1) {}
  };
  Module root;
  root.add_module("x", make_ref<NoWay>());
  CHECK(error_of([&] { deepcopy(root); }) ==
        "NotImplementedError: NoWay cannot be copied: give it `Ref<Module> copied() const override "
        "{ return make_ref<NoWay>(*this); }`");
  CHECK(deepcopy(NoWay())->type_name() == "NoWay");  // its own type is known here
  root.set_submodule("x", make_ref<Half>());
  CHECK(error_of([&] { deepcopy(root); })
            .starts_with("NotImplementedError: Half cannot be copied: its base class Linear copies "
                         "itself alone"));
  const NoWay one;
  CHECK(error_of([&] { NoWay two(one); }) ==
        "TypeError: NoWay is not copied by value; deepcopy(m) makes a copy");
  Module computed;
  computed.register_buffer("b", tensor({1}).requires_grad_() * 2);
  CHECK(error_of([&] { deepcopy(computed); })
            .starts_with("RuntimeError: Only Tensors created explicitly by the user (graph leaves) "
                         "support the deepcopy protocol at the moment."));
  auto loop = make_ref<nn::Sequential>();
  loop->append(loop);
  CHECK(error_of([&] { deepcopy(*loop); }) ==
        "RuntimeError: Sequential contains itself and cannot be copied");
  loop->remove(0);
}

TEST_CASE("tensors of a module in shared memory are seen by processes forked later") {
  Copyable m;
  m.l->weight->set_grad(zeros({2, 2}));
  CHECK(&m.share_memory() == &m);
  CHECK(m.b->data() == m.head->data());
  CHECK(floats(*m.b) == Floats{1, 2});
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    m.b->data<float>()[0] = 42;
    m.l->weight->data<float>()[3] = 43;
    m.l->weight->grad().data<float>()[0] = 44;
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  CHECK(floats(*m.b) == Floats{42, 2});
  CHECK(floats(*m.head) == Floats{42});
  CHECK(floats(*m.l->weight)[3] == 43);
  CHECK(floats(m.l->weight->grad())[0] == 44);
  m.share_memory();
  CHECK(floats(*m.b) == Floats{42, 2});
}

TEST_CASE("dir lists members and slots, sorted, without names that begin with a digit") {
  Copyable m;
  const Names all = m.dir();
  CHECK(std::is_sorted(all.begin(), all.end()));
  for (const char* name : {"l", "again", "b", "forward", "register_forward_hook", "zero_grad"}) {
    CHECK(std::count(all.begin(), all.end(), name) == 1);
  }
  nn::Sequential s(make_ref<nn::Linear>(1, 1));
  s.add_module("named", nullptr);
  const Names of_sequential = s.dir();
  CHECK(std::count(of_sequential.begin(), of_sequential.end(), "0") == 0);
  CHECK(std::count(of_sequential.begin(), of_sequential.end(), "named") == 1);
  CHECK(std::count(of_sequential.begin(), of_sequential.end(), "append") == 1);
}

TEST_SUITE_END();
